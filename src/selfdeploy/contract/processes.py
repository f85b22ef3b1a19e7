"""Processes with a mark in their environment: find them, list their sockets, kill them. Source: proc(5)."""

import contextlib
import ipaddress
import os
import signal
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

MARK = "SELFDEPLOY_CONTRACT"
ENDED = ("Z", "X")
"""States of an ended process."""

LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process: its pid and start time, unique together, its parent's pid and its command line."""

    pid: int
    started: str
    parent: int = field(default=0, compare=False)
    command: str = field(default="", compare=False)


def _read(pid: int) -> Process | None:
    """Return the process PID; None if it does not exist, or has ended but is not yet reaped."""
    with contextlib.suppress(OSError):
        folder = Path("/proc", str(pid))
        facts = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        if facts[0] in ENDED:
            return None
        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return Process(pid=pid, started=facts[19], parent=int(facts[1]), command=line)
    return None


def _all() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and (one := _read(int(folder.name))):
            yield one


def find(mark: str) -> set[Process]:
    """Return the processes started with MARK in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for one in _all():
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0"):
                found.add(one)
    return found


def family(pid: int) -> frozenset[Process]:
    """Return the descendants of the process PID, with or without a mark."""
    known = {one.pid: one for one in _all()}
    members: set[int] = {pid}
    while more := {one.pid for one in known.values() if one.parent in members} - members:
        members |= more
    return frozenset(known[one] for one in members - {pid})


def alive(mark: str, known: Iterable[Process] = ()) -> set[Process]:
    """Return the running processes with MARK or in KNOWN."""
    return find(mark) | {one for one in known if _read(one.pid) == one}


def child(pid: int) -> int:
    """Return the first child of the process PID; 0 if it has none."""
    with contextlib.suppress(OSError):
        for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return int(word)
    return 0


def listening(mark: str) -> set[tuple[str, int]]:
    """Return the listening addresses and ports of the processes with MARK."""
    inodes = {inode for one in find(mark) for inode in _sockets(one.pid)}
    rows = [row for name in ("tcp", "tcp6") for row in _rows(Path("/proc/net", name))]
    return {address for address, inode in rows if inode in inodes}


def _sockets(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                kind, _, inode = str(link.readlink()).partition(":")
                if kind == "socket":
                    yield inode.strip("[]")


def _rows(table: Path) -> Iterator[tuple[tuple[str, int], str]]:
    """Yield the address and the inode of each listening socket in TABLE."""
    with contextlib.suppress(OSError):
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS:
                yield parse_address(fields[1]), fields[9]


def parse_address(text: str) -> tuple[str, int]:
    """Parse an address and port of /proc/net/tcp, in words of the machine's byte order."""
    address, _, port = text.partition(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    parsed = ipaddress.ip_address(packed)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed), int(port, 16)


def kill(those: Iterable[Process]) -> None:
    """Send SIGKILL to the processes THOSE."""
    for one in those:
        with contextlib.suppress(OSError):
            os.kill(one.pid, signal.SIGKILL)
