"""`paybridge worker` as a separate process, over a test's servers and a Secrets Manager that knows two secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from local.testkit.live import eventually
from local.testkit.servers import Vhost

REPOSITORY = Path(__file__).resolve().parents[2]
DATABASE_SECRET, BROKER_SECRET = "test/database", "test/broker"
START_SECONDS_MAX = 90


class _Secrets(BaseHTTPRequestHandler):
    """Answers GetSecretValue with the login of the database or the broker."""

    logins: dict[str, dict[str, str]]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = {"Name": asked["SecretId"], "SecretString": json.dumps(self.logins[asked["SecretId"]])}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Says nothing."""


@contextmanager
def secrets_manager(database_url: str, amqp_url: str) -> Iterator[str]:
    """A Secrets Manager with the logins of these servers; yields its URL."""
    logins = {DATABASE_SECRET: _login(database_url), BROKER_SECRET: _login(amqp_url)}
    handler = type("Secrets", (_Secrets,), {"logins": logins})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Worker:
    """One `paybridge worker` and what it wrote."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log; a line that it has not finished yet is left out."""
        text = self.output.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The log lines with this message."""
        return [line for line in self.lines if line["message"] == message]

    def wait_until_ready(self, times: int = 1) -> None:
        """Return once the worker has taken up its queues `times` times, which it does again after an outage."""
        eventually(lambda: len(self.logged("worker ready")) >= times, "the worker is ready", START_SECONDS_MAX)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=40)


@dataclass
class Workers:
    """Starts workers over a database, a virtual host and a gateway, and ends those that a test leaves behind."""

    environment: dict[str, str]
    folder: Path
    started: list[Worker] = field(default_factory=list)

    def start(self, name: str, *arguments: str, **changes: str) -> Worker:
        """Start `paybridge worker <name>`. `changes` override its environment variables."""
        output = self.folder / f"worker-{len(self.started)}.log"
        command = [sys.executable, "-m", "paybridge.cli", "worker", name, *arguments]
        with output.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=REPOSITORY, env={**self.environment, **changes}, stdin=subprocess.DEVNULL, stdout=log
            )
        worker = Worker(process, output)
        self.started.append(worker)
        return worker

    def end(self) -> None:
        """Kill the workers that still run."""
        for worker in self.started:
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait()


def worker_environment(database_url: str, vhost: Vhost, gateway_url: str, aws_url: str) -> dict[str, str]:
    """The variables that a worker reads, as the template gives them to the functions."""
    database, broker = urlsplit(database_url), urlsplit(vhost.amqp_url)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY / "layers" / "paybridge"),
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "ENVIRONMENT_NAME": "test",
        "DATABASE_HOST": database.hostname or "",
        "DATABASE_PORT": str(database.port),
        "DATABASE_NAME": database.path.lstrip("/"),
        "DATABASE_SECRET_ID": DATABASE_SECRET,
        "DATABASE_TLS": "disable",
        "BROKER_URL": f"amqp://{broker.hostname}:{broker.port}",
        "BROKER_VIRTUAL_HOST": vhost.name,
        "BROKER_SECRET_ID": BROKER_SECRET,
        "EVENT_BUS": "payments-test",
        "GATEWAY_URL": gateway_url,
        # The lease of an attempt follows from it: the time after which another worker takes over from a dead one.
        "GATEWAY_TIMEOUT_SECONDS": "2",
        "GATEWAY_RETRY_DELAYS_SECONDS": "0.5,1,2",
        "WEBHOOK_LOCAL_NETWORKS": "127.0.0.0/8,::1/128",
        "WEBHOOK_RETRY_DELAYS_SECONDS": "1,2,4",
        "RELAY_IDLE_POLL_SECONDS_MAX": "0.05",
    }


def _login(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
