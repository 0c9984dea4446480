"""Serving HTTP on loopback."""

import socket

from aiohttp import web


async def listen(server: web.Server, port: int) -> tuple[web.ServerRunner, int]:
    """Serve on a port of 127.0.0.1, 0 for a free one; the caller cleans the runner up. OSError: the port is taken."""
    runner = web.ServerRunner(server, shutdown_timeout=0.2)
    await runner.setup()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        await web.SockSite(runner, listener, backlog=1_024).start()
    except OSError:
        listener.close()
        await runner.cleanup()
        raise
    return runner, listener.getsockname()[1]
