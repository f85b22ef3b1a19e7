"""The first program in new namespaces: it makes the file system read-only and becomes the image's user.

`unshare` starts it. One folder and /tmp stay writable. A process may take half of the free memory, so that it cannot
exhaust the machine's. It imports only the standard library. Its arguments: `alone` or `beside`, the tree, the folder,
the command.
"""

import ctypes
import fcntl
import os
import resource
import socket
import struct
import sys

SIOCSIFFLAGS = 0x8914
IFF_UP = 1
USERS = "/etc/passwd"
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC = 1, 32, 4096, 16384
KEPT = {
    os.ST_NOSUID: 2,
    os.ST_NODEV: 4,
    os.ST_NOEXEC: 8,
    os.ST_NOATIME: 1024,
    os.ST_NODIRATIME: 2048,
    os.ST_RELATIME: 1 << 21,
}
"""Options that another user's mount has to keep, and their flags of mount(2)."""


def bring_up_loopback() -> None:
    """Bring up `lo`, which is down in a new network namespace. Source: netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def bind(path: str, flags: int, over: str = "") -> None:
    """Mount PATH over OVER, or over itself, in this mount namespace, with FLAGS. Source: mount(2)."""
    source, target = os.fsencode(path), os.fsencode(over or path)
    if ctypes.CDLL(None, use_errno=True).mount(source, target, None, ctypes.c_ulong(flags), None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), over or path)


def make_read_only(folder: str) -> None:
    """Remount FOLDER, a mount point, read-only."""
    own = os.statvfs(folder).f_flag
    kept = sum(flag for known, flag in KEPT.items() if own & known)
    bind(folder, MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def name_user(folder: str) -> None:
    """Name user 1000 `sf`, as in the image, in a list of users in FOLDER: a server may look up its own name."""
    with open(USERS, "rb") as file:  # noqa: PTH123 -- as little as possible is loaded
        others = [line for line in file if line.split(b":")[2:3] != [b"1000"] and not line.startswith(b"sf:")]
    own = f"sf:x:1000:1000:SF:{folder}/home:/bin/sh\n"
    with open(f"{folder}/passwd", "wb") as file:  # noqa: PTH123
        file.writelines([os.fsencode(own), *others])
    bind(f"{folder}/passwd", MS_BIND, over=USERS)


def limit_memory() -> None:
    """Limit a process to half of the free memory, as RLIMIT_DATA counts it. Source: getrlimit(2)."""
    with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 -- as little as possible is loaded
        told = dict(line.split(":", 1) for line in file)
    half = int(told["MemAvailable"].split()[0]) * 1024 // 2
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = half if hard == resource.RLIM_INFINITY else min(half, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main(argv: list[str]) -> None:
    """Prepare the namespaces and become the command."""
    network, tree, folder, *command = argv
    limit_memory()
    try:
        if network == "alone":
            bring_up_loopback()
        bind("/tmp", MS_BIND | MS_REC)  # noqa: S108 -- writable for the server, as in the image
        if os.path.exists(USERS):  # noqa: PTH110
            name_user(folder)
        bind(folder, MS_BIND)
        bind(tree, MS_BIND)
        make_read_only(tree)
        make_read_only("/")
    except OSError as exc:
        sys.exit(f"unshare: {exc}")
    user = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    os.execvp(user[0], [*user, *command])  # noqa: S606 -- no shell is what is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
