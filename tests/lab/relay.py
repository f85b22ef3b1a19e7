"""Passes on what comes in at a local socket, as `ssh -L` does: `python relay.py SOCKET HOST PORT`, or `SOCKET SOCKET`.

Stopped by SIGSTOP, it is a way that has died half open: connections stay, new ones are taken, and nothing passes.
"""

import asyncio
import contextlib
import sys


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
        target.write_eof()


async def serve(path: str, *where: str) -> None:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await (
            asyncio.open_connection(*where) if where[1:] else asyncio.open_unix_connection(*where)
        )
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        writer.close()
        far_writer.close()

    server = await asyncio.start_unix_server(join, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
