"""`python -m local.stack.forward HOST PORT…`: forward connections from HOST to the same port of 127.0.0.1.

The servers of the stack listen on loopback only, where a container cannot reach them. HOST is the address that this
machine has in Docker's own network. Only containers of this machine reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from functools import partial

CHUNK_BYTES = 64 * 1024
# What it says when it listens.
FORWARDING = b"forwarding"


def is_own_address(host: str) -> bool:
    """Return whether this machine can listen on the address."""
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


async def serve(host: str, ports: list[int]) -> None:
    """Forward until SIGTERM or SIGINT. Raises OSError where a port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [await asyncio.start_server(partial(_pass_on, port), host, port) for port in ports]
    print(f"{FORWARDING.decode()} {host} to 127.0.0.1", flush=True)
    await stop.wait()
    # Not `async with`, which since Python 3.12 waits for open connections too, and those of a pool never end.
    for server in servers:
        server.close()


async def _pass_on(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        # As if nothing listened here.
        writer.close()
        return
    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends, then close the other."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    try:
        asyncio.run(serve(sys.argv[1], [int(port) for port in sys.argv[2:]]))
    except OSError as error:
        sys.exit(f"local.forward: {error}")
