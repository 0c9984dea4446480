"""`python -m local.gateway --port P --log FILE`: run the simulated gateway until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from local.clock.offset import stack_time
from local.gateway.behaviour import Behaviour
from local.gateway.gateway import Gateway
from local.gateway.log import OperationLog
from local.gateway.notices import Notices
from local.gateway.server import GatewayServer
from local.http.lean import LeanServer, loop_factory


def main() -> int:
    parser = argparse.ArgumentParser(prog="local.gateway", description="Run a simulated payment gateway.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--log", type=Path, required=True, help="append-only log (JSON lines)")
    arguments = parser.parse_args()
    try:
        behaviour = Behaviour.from_environment(os.environ)
        notices = _notices(os.environ)
    except ValueError as error:
        return _fail(f"The GATEWAY_ settings are wrong: {error}. Correct them.")
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(arguments.host, arguments.port, arguments.log, behaviour, notices))
    except OSError as error:
        return _fail(f"The gateway cannot run on port {arguments.port} ({error.strerror or error}): choose another.")
    return 0


async def serve(host: str, port: int, log_path: Path, behaviour: Behaviour, notices: Notices | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the port is taken or the log cannot be written."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    log = OperationLog(log_path)
    gateway = Gateway(log, behaviour, notices.send if notices else None, stack_time(os.environ))
    server = LeanServer(GatewayServer(gateway, lambda: notices.sending if notices else 0).handle)
    decisions = asyncio.create_task(gateway.run())
    try:
        await server.start(host, port)
        print(f"gateway listening on http://{host}:{port}", flush=True)
        await stop.wait()
    finally:
        decisions.cancel()
        await server.stop()
        if notices is not None:
            await notices.close()
        log.close()


def _notices(environment: Mapping[str, str]) -> Notices | None:
    """Return where notices go, if anywhere. Raises ValueError for a missing secret."""
    url, secret = environment.get("GATEWAY_NOTICES_URL"), environment.get("GATEWAY_NOTICES_SECRET")
    if not url:
        return None
    if not secret:
        raise ValueError("GATEWAY_NOTICES_SECRET is missing beside GATEWAY_NOTICES_URL")
    return Notices(url, secret, stack_time(environment))


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
