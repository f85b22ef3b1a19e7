"""Carry TCP between this host's loopback and that of a network namespace: `forward.py in|out NAMESPACE PORT...`.

`in` listens on this host and connects inside; `out` listens inside and connects on this host. PORT is N, N-M (a range)
or N:TARGET, where the other side has another port.
"""

import asyncio
import contextlib
import ctypes
import datetime
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET, of Linux's sched.h."""

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


def enter(namespace: int) -> None:
    """Make the network namespace of that file descriptor this thread's; sockets keep the one they were made in."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


def ports(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Return where to listen and where to connect for each of WORDS."""
    for word in words:
        here, _, there = word.partition(":")
        first, _, last = here.partition("-")
        for port in range(int(first), int(last or first) + 1):
            yield port, int(there or port)


def listen(port: int) -> socket.socket | None:
    """Return a socket that listens on PORT; None when the port is taken, which is said and then left at that."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as exc:
        print(f"{port}: {exc}", file=sys.stderr, flush=True)
        return None
    listener.listen(128)
    return listener


async def pump(reader: Reader, writer: Writer) -> None:
    """Carry one direction until it ends; the other may go on."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def carry(reader: Reader, writer: Writer, target: int) -> None:
    """Connect to TARGET and carry both directions."""
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
    except OSError as exc:
        print(f"{datetime.datetime.now(datetime.UTC):%H:%M:%S.%f} {target}: {exc}", file=sys.stderr, flush=True)
        writer.transport.abort()
        return
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
    for end in (writer, far_writer):
        with contextlib.suppress(OSError):
            end.close()


async def serve(listeners: Sequence[tuple[socket.socket, int]]) -> None:
    """Carry what comes to LISTENERS, each with its target, for ever."""
    under_way = set[asyncio.Task[None]]()  # the loop itself does not keep a task from being collected

    async def one(listener: socket.socket, target: int) -> None:
        def take(reader: Reader, writer: Writer) -> None:
            task = asyncio.create_task(carry(reader, writer, target))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

        server = await asyncio.start_server(take, sock=listener)
        await server.serve_forever()

    await asyncio.gather(*(one(listener, target) for listener, target in listeners))


def main() -> None:
    """Listen in one namespace, connect in the other."""
    direction, name, *words = sys.argv[1:]
    ours = os.open("/proc/self/ns/net", os.O_RDONLY)
    inner = os.open(Path("/run/netns") / name, os.O_RDONLY)
    near, far = (ours, inner) if direction == "in" else (inner, ours)
    enter(near)
    listeners = [(listener, target) for port, target in ports(words) if (listener := listen(port))]
    enter(far)
    asyncio.run(serve(listeners))


if __name__ == "__main__":
    main()
