"""Loopback TCP servers that say exactly what a test wants, however malformed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """A running server: its port, the heads and bodies of the requests it has received, and how many connections."""

    def __init__(self, respond: Respond | bytes, keep_alive: bool) -> None:
        self.port = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._respond = respond
        self._keep_alive = keep_alive
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection in a task that `stop` can end."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Ends every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head, body = await _read_request(reader)
                self.heads.append(head)
                self.bodies.append(body)
                await self._answer(reader, writer)
                if not self._keep_alive:
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return  # The client has had enough, or the test is over.
        finally:
            # A client that has stopped reading would otherwise keep the rest of an answer, and the socket, for ever.
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._respond, bytes):
            writer.write(self._respond)
            await writer.drain()
        else:
            await self._respond(reader, writer)


@asynccontextmanager
async def raw_server(
    respond: Respond | bytes, *, tls: ssl.SSLContext | None = None, keep_alive: bool = False
) -> AsyncIterator[RawServer]:
    """Answers each request, once its head and body have arrived, with fixed bytes or by calling `respond`."""
    server = RawServer(respond, keep_alive)
    listening = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.stop()


async def _read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head, body = await reader.readuntil(b"\r\n\r\n"), b""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            body = await reader.readexactly(int(value))
    return head, body
