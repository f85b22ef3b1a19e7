"""The program that `unshare` starts in new namespaces: a folder read-only, loopback up, then the rest as another user.

It loads nothing but the standard library: argv is the folder and the command.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

SIOCSIFFLAGS = 0x8914
IFF_UP = 1
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
KEPT = {os.ST_NOSUID: 2, os.ST_NODEV: 4, os.ST_NOEXEC: 8, os.ST_NOATIME: 1024, os.ST_RELATIME: 1 << 21}
"""What a mount has to keep when another user made it, and the flags of mount(2) for it."""


def bring_up_loopback() -> None:
    """Bring up `lo`, which is down in a new network namespace. Source: netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def make_read_only(folder: str) -> None:
    """Mount FOLDER read-only over itself in this mount namespace. Source: mount(2)."""
    mount = ctypes.CDLL(None, use_errno=True).mount
    path, own = os.fsencode(folder), os.statvfs(folder).f_flag
    kept = sum(flag for known, flag in KEPT.items() if own & known)
    for flags in (MS_BIND, MS_BIND | MS_REMOUNT | MS_RDONLY | kept):
        if mount(path, path, None, ctypes.c_ulong(flags), None):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)


def main(argv: list[str]) -> None:
    """Prepare the namespaces and become the command."""
    try:
        bring_up_loopback()
        make_read_only(argv[0])
    except OSError as exc:
        sys.exit(f"unshare: {exc}")
    user = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    os.execvp(user[0], [*user, *argv[1:]])  # noqa: S606 -- no shell is what is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
