"""A stand-in for the `tailscale` command, for what needs no tailnet; lab/tailnet.py runs Tailscale itself.

It prints what `ipnstate.Status` and `ipn.ServeConfig` of Tailscale 1.102 are as JSON, key by key, and ends as the
command does: with 1 and a line on standard error where the daemon does not answer, or there is no address.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "vega.tail1234.ts.net"
STOPPED = "failed to connect to local tailscaled; it doesn't appear to be running (sudo systemctl start tailscaled ?)"
NO_ADDRESS = "no current Tailscale IPs; state: Stopped"


def status(
    address: str = "100.101.102.103", *, state: str = "Running", userspace: bool = False, online: bool = True
) -> dict[str, Any]:
    """Return what `tailscale status --json` prints of a host with ADDRESS."""
    running = state == "Running"
    own = {
        "ID": "n1",
        "NodeID": 1,
        "PublicKey": f"nodekey:{'0' * 64}",
        "HostName": "vega",
        "DNSName": f"{NAME}." if running else "",
        "OS": "linux",
        "UserID": 1,
        "TailscaleIPs": [address, "fd7a:115c:a1e0::7"] if running else None,
        "AllowedIPs": [f"{address}/32", "fd7a:115c:a1e0::7/128"],
        "Addrs": None,
        "CurAddr": "",
        "Relay": "",
        "PeerRelay": "",
        "RxBytes": 0,
        "TxBytes": 0,
        "Created": "2026-11-30T10:00:00Z",
        "LastWrite": "0001-01-01T00:00:00Z",
        "LastSeen": "0001-01-01T00:00:00Z",
        "LastHandshake": "0001-01-01T00:00:00Z",
        "Online": running and online,
        "ExitNode": False,
        "ExitNodeOption": False,
        "Active": False,
        "PeerAPIURL": None,
        "TaildropTarget": 0,
        "NoFileSharingReason": "",
        "InNetworkMap": running,
        "InMagicSock": False,
        "InEngine": False,
    }
    health = {"Stopped": ["Tailscale is stopped."], "NeedsLogin": ["You are logged out."]}.get(state)
    tailnet = {"Name": "example.com", "MagicDNSSuffix": "tail1234.ts.net", "MagicDNSEnabled": True}
    return {
        "Version": "1.102.5",
        "TUN": not userspace,
        "BackendState": state,
        "HaveNodeKey": True,
        "AuthURL": "",
        "TailscaleIPs": own["TailscaleIPs"],
        "Self": own,
        "Health": health if online else ["Unable to connect to the Tailscale coordination server."],
        "MagicDNSSuffix": "tail1234.ts.net" if running else "",
        "CurrentTailnet": tailnet if running else None,
        "CertDomains": None,
        "ExtraRecords": None,
        "Peer": None,
        "User": None,
        "ClientVersion": None,
    }


def served(target: str, *, funnel: bool = False) -> dict[str, Any]:
    """Return what `tailscale serve status --json` prints after `tailscale serve TARGET`, or `funnel TARGET`."""
    config: dict[str, Any] = {
        "TCP": {"443": {"HTTPS": True}},
        "Web": {f"{NAME}:443": {"Handlers": {"/": {"Proxy": target}}}},
    }
    return {**config, "AllowFunnel": {f"{NAME}:443": True}} if funnel else config


def install(
    folder: Path, known: Mapping[str, Any] | None, serve: Mapping[str, Any] | None = None, address: str = ""
) -> Path:
    """Write the command into FOLDER, and return that: it prints KNOWN, SERVE and ADDRESS; its daemon is off if None."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = [f"*) echo {shlex.quote(STOPPED)} >&2; exit 1 ;;"]
    if known is not None:
        ip = f"echo {address}" if address else f"echo {shlex.quote(NO_ADDRESS)} >&2; exit 1"
        cases = [
            f"'status --json') echo {shlex.quote(json.dumps(known, indent=2))} ;;",
            f"'serve status --json') echo {shlex.quote(json.dumps(serve or {}, indent=2))} ;;",
            f"'ip -4') {ip} ;;",
            *cases,
        ]
    file = folder / "tailscale"
    file.write_text("\n".join(['#!/bin/sh\ncase "$*" in', *cases, "esac\n"]))
    file.chmod(0o755)
    return folder
