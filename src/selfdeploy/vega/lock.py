"""One command at a time on the vega server of this host."""

import contextlib
import hashlib
import os
import pwd
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from selfdeploy import errors


@contextlib.contextmanager
def hold(name: str) -> Iterator[None]:
    """Hold the server NAME; the kernel lets go of it when this process ends, however it ends.

    The lock is a socket in the abstract namespace (unix(7)): no file, no owner, and it tells who holds it.

    Raises:
        errors.LockHeld: another command holds it; the message says which, and whose.
    """
    with _hold(f"\0selfdeploy-vega-{name}", name):
        yield


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold FOLDER, which servers of more than one name may run from; `hold` says how, and what it raises."""
    number = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    with _hold(f"\0selfdeploy-folder-{number}", str(folder)):
        yield


@contextlib.contextmanager
def _hold(address: str, name: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as lock:
        try:
            lock.bind(address)
        except OSError as exc:
            raise errors.LockHeld(
                f"{name}: held by {_holder(address)}", "wait until it is done; the lock frees itself when it ends"
            ) from exc
        lock.listen()
        yield


def _holder(address: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.settimeout(2)
            asking.connect(address)
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            pid, uid, _ = struct.unpack("3i", told)
            user = pwd.getpwuid(uid).pw_name
        except (OSError, KeyError):
            return "another command"
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
        started = " ".join(Path(word).name if "/" in word else word for word in words).strip()
        return f"{user}, process {pid}: {started[:200]}"
    return f"{user}, process {pid}"
