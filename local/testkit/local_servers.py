"""Start the simulated gateway and the webhook sink as processes of their own, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from local.servers.processes import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 60.0


@contextmanager
def running_gateway(log: Path, **environment: str) -> Iterator[str]:
    """A gateway over the given charge log; yields its URL. Without other settings it answers at once, always yes."""
    settings = {
        "GATEWAY_LATENCY_SECONDS_MIN": "0",
        "GATEWAY_LATENCY_SECONDS_MAX": "0",
        "GATEWAY_SUCCESS_RATE": "1",
        **environment,
    }
    with _running("local.gateway", ["--log", str(log)], settings) as (_, url):
        yield url


@contextmanager
def running_gateway_process(log: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Like `running_gateway`, and yields the process as well, for tests that kill it."""
    settings = {"GATEWAY_LATENCY_SECONDS_MIN": "0", "GATEWAY_LATENCY_SECONDS_MAX": "0", **environment}
    with _running("local.gateway", ["--log", str(log)], settings) as started:
        yield started


@contextmanager
def running_sink(*secrets: str) -> Iterator[str]:
    """A webhook sink that verifies with the given secrets, or the demo merchant's; yields its URL."""
    arguments = [argument for secret in secrets for argument in ("--secret", secret)]
    with _running("local.sink", arguments, {}) as (_, url):
        yield url


@contextmanager
def _running(
    module: str, arguments: list[str], settings: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    command = [sys.executable, "-m", module, "--port", str(port), *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(process, url)
        yield process, url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server at {url} ended with {process.returncode} while starting")
        try:
            httpx.get(f"{url}/health", trust_env=False, timeout=1)
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"the server at {url} did not start")
