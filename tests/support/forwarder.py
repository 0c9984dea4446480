"""A TCP server that passes bytes on to another port, which a test may change."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Forwarder:
    """Passes connections to 127.0.0.1 on to `target_port`: those that are open go on where they went.

    `cuts_next` ends a connection when its client next sends something.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.connections = 0
        self.cuts_next = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on until either side ends it."""
        self.connections += 1
        writers = [writer]
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            writers.append(target_writer)
            copies = [
                asyncio.ensure_future(self._copy(reader, target_writer, is_sent=True)),
                asyncio.ensure_future(self._copy(target_reader, writer, is_sent=False)),
            ]
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
        except asyncio.CancelledError:
            return  # The test is over.
        finally:
            for each in writers:
                each.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_sent: bool) -> None:
        while data := await reader.read(65_536):
            if is_sent and self.cuts_next:
                self.cuts_next = False
                return
            writer.write(data)
            await writer.drain()


@contextmanager
def forwarding(target_port: int, tls: ssl.SSLContext | None = None) -> Iterator[Forwarder]:
    """Forward from a free port to `target_port`, and speak TLS to clients if `tls` is given."""
    forwarder = Forwarder(target_port)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(forwarder.serve, "127.0.0.1", 0, ssl=tls)

    async def close(server: asyncio.Server) -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # What was aborted is closed by callbacks.
        for _ in range(3):
            await asyncio.sleep(0)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    forwarder.port = server.sockets[0].getsockname()[1]
    try:
        yield forwarder
    finally:
        asyncio.run_coroutine_threadsafe(close(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
