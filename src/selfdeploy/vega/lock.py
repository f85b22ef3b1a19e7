"""A lock: one command at a time on this host's vega server."""

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
    """Lock the server NAME; the kernel releases the lock when this process ends, however it ends.

    The lock is a socket in the abstract namespace (unix(7)): no file, no owner, and its peer credentials name the
    holder.

    Raises:
        errors.LockHeld: another command holds it; the message names the command and its user.
    """
    with _hold(f"\0selfdeploy-vega-{name}", name):
        yield


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Lock FOLDER, shared by servers of different names, as `hold` does.

    Raises:
        errors.LockHeld: another command holds it.
    """
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
