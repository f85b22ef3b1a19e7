"""The cluster's name server: it answers *.svc.cluster.local from the API, and knows no other name.

`dns.py ADDRESS API PKI`: the address to listen on, the API server's, and the folder with the certificates. It stands in
for CoreDNS.
"""

import http.client
import ipaddress
import json
import socketserver
import ssl
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

SUFFIX = "svc.cluster.local"
FRESH = 1.0
"""Seconds for which what the API said is taken as it is."""

A, CNAME, ANY = 1, 5, 255
HEADER = struct.Struct(">HHHHHH")
RECORD = struct.Struct(">HHIH")


class Names:
    """The names of the Services, with the addresses behind each, as the API tells them."""

    def __init__(self, api: str, pki: Path) -> None:
        self._api = api
        self._tls = ssl.create_default_context(cafile=pki / "ca.crt")
        self._tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._known: dict[str, list[str]] = {}

    def addresses(self, name: str) -> list[str] | None:
        """Return the addresses behind NAME, or the one other name it stands for; None when there is no such name."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH:
                try:
                    self._known = self._read()
                    self._read_at = time.monotonic()
                except (OSError, http.client.HTTPException, ValueError, KeyError) as exc:
                    print(f"the API: {exc}", file=sys.stderr, flush=True)  # what is known stays the answer
            return self._known.get(name)

    def _read(self) -> dict[str, list[str]]:
        endpoints = {_key(item): item for item in self._list("endpoints")}
        known: dict[str, list[str]] = {}
        for service in self._list("services"):
            namespace, name = _key(service)
            base, spec = f"{name}.{namespace}.{SUFFIX}", service["spec"]
            if spec["type"] == "ExternalName":
                known[base] = [spec["externalName"]]
            elif spec.get("clusterIP") not in {None, "", "None"}:
                known[base] = [spec["clusterIP"]]
            else:
                unready = bool(spec.get("publishNotReadyAddresses"))
                pods = _pods(endpoints.get((namespace, name), {}), unready=unready)
                known[base] = [address for address, _ in pods]
                known.update({f"{host}.{base}": [address] for address, host in pods if host})
        return known

    def _list(self, kind: str) -> list[dict[str, Any]]:
        host, port = self._api.split(":")
        connection = http.client.HTTPSConnection(host, int(port), context=self._tls, timeout=5)
        try:
            connection.request("GET", f"/api/v1/{kind}")
            items: list[dict[str, Any]] = json.load(connection.getresponse())["items"]
            return items
        finally:
            connection.close()


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _pods(endpoints: dict[str, Any], *, unready: bool) -> list[tuple[str, str]]:
    """Return address and host name of each of ENDPOINTS; those that are not ready when UNREADY."""
    lists = ["addresses", "notReadyAddresses"] if unready else ["addresses"]
    return [
        (address["ip"], address.get("hostname", ""))
        for subset in endpoints.get("subsets") or []
        for kind in lists
        for address in subset.get(kind) or []
    ]


def _encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"


def _question(query: bytes) -> tuple[str, int, bytes]:
    """Return the name and the type that QUERY asks for, and the bytes that say so (RFC 1035, 4.1.2)."""
    at, labels = HEADER.size, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
        at += query[at] + 1
    (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
    return ".".join(labels).lower(), kind, query[HEADER.size : at + 5]


def answer(names: Names, query: bytes) -> bytes:
    """Return the answer to QUERY, both as they go over the wire."""
    ident, flags = struct.unpack(">HH", query[:4])
    name, kind, question = _question(query)
    found = names.addresses(name)
    records = [_record(value, kind) for value in found or ()]
    told = [record for record in records if record]
    no_such_name = 3 if found is None else 0
    header = HEADER.pack(ident, 0x8480 | (flags & 0x100) | no_such_name, 1, len(told), 0, 0)
    return header + question + b"".join(told)


def _record(value: str, kind: int) -> bytes:
    """Return the record of VALUE, an address or another name, for the name in the question; empty if not of KIND."""
    try:
        data, mine = ipaddress.IPv4Address(value).packed, A
    except ipaddress.AddressValueError:
        data, mine = _encode(value), CNAME
    if mine == A and kind not in {A, ANY}:
        return b""
    return b"\xc0\x0c" + RECORD.pack(mine, 1, 2, len(data)) + data


class Datagrams(socketserver.ThreadingUDPServer):
    """DNS over UDP."""

    allow_reuse_address = daemon_threads = True


class Streams(socketserver.ThreadingTCPServer):
    """DNS over TCP."""

    allow_reuse_address = daemon_threads = True


def main() -> None:
    """Answer until ended."""
    address, api, pki = sys.argv[1:]
    names = Names(api, Path(pki))

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, connection = self.request
            connection.sendto(answer(names, query), self.client_address)

    class Stream(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack(">H", self.rfile.read(2))
            told = answer(names, self.rfile.read(length))
            self.wfile.write(struct.pack(">H", len(told)) + told)

    streams = Streams((address, 53), Stream)
    threading.Thread(target=streams.serve_forever, daemon=True).start()
    Datagrams((address, 53), Datagram).serve_forever()


if __name__ == "__main__":
    main()
