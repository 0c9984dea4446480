"""`python -m local.sink --port P`: run the webhook sink until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

from local.clock.offset import stack_time
from local.http.lean import LeanServer, loop_factory
from local.sink.server import SinkServer

DEMO_SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE="


def main() -> int:
    parser = argparse.ArgumentParser(prog="local.sink", description="A receiver of webhooks that verifies them.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8091)
    parser.add_argument("--secret", action="append", help="a whsec_ secret to verify with; may be repeated")
    arguments = parser.parse_args()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(arguments.host, arguments.port, arguments.secret or [DEMO_SECRET]))
    except OSError as error:
        print(f"The webhook sink cannot run on port {arguments.port}: {error.strerror or error}.", file=sys.stderr)
        return 1
    return 0


async def serve(host: str, port: int, secrets: list[str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = LeanServer(SinkServer(secrets, stack_time(os.environ)).handle)
    try:
        await server.start(host, port)
        print(f"webhook sink listening on http://{host}:{port}", flush=True)
        await stop.wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    raise SystemExit(main())
