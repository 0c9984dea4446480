"""The load that Locust runs: an open model of merchants who post payments, and sometimes read and list them.

Locust's users are a closed model. The only user here is a dispatcher. Each of its tasks sends one request when it is
due, and does not wait for the answer. Locust shows latencies since that moment.
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import gevent
from gevent.pool import Pool
from geventhttpclient.client import HTTPClient
from locust import User, events, task
from locust.env import Environment

from bench.load_report import LoadRun, write
from bench.open_model import Recording, arrivals
from bench.settled import Onlooker

# Requests in flight at once. Further arrivals wait, and the wait counts as latency.
UNDER_WAY_MAX = 1_000
# A refused payment is retried for this long.
INSIST_SECONDS = 60.0
SETTLE_SECONDS_MAX = 300.0
PROGRESS_SECONDS = 2.0
# Percentages of all requests. The others post.
READS, LISTS = 15, 5
_BROKEN = 0


class Run:
    """A run: the payment it posts, the recording of the answers, and the onlooker that checks the payments."""

    def __init__(self, environment: Environment) -> None:
        options = environment.parsed_options
        self.recording = Recording()
        self.rate = float(options.rate)
        self.started_at = datetime.now(UTC)
        self.under_way = Pool(UNDER_WAY_MAX)
        self.chance = random.Random()  # noqa: S311
        self.due = arrivals(self.rate, poisson=options.arrivals == "poisson", chance=self.chance)
        self.began = time.perf_counter()
        self.client = HTTPClient.from_url(
            environment.host, concurrency=UNDER_WAY_MAX, connection_timeout=10, network_timeout=35
        )
        self.headers = {"X-API-Key": os.environ["LOAD_API_KEY"], "Content-Type": "application/json"}
        path = f"/ok/load-{uuid.uuid4()}"
        sink_url = os.environ.get("LOAD_SINK_URL")
        order = {"amount": "100.50", "currency": "RUB", "description": "Order #123", "metadata": {"order_id": "123"}}
        if sink_url:
            # The gateway answers at once and always charges, whatever its settings: this tests the stack.
            order |= {"webhook_url": sink_url + path, "payment_method": "tok_success"}
        self.body = json.dumps(order).encode()
        self.onlooker = Onlooker(
            str(environment.host),
            os.environ["LOAD_API_KEY"],
            self.started_at,
            gateway_url=os.environ.get("LOAD_GATEWAY_URL"),
            sink_url=sink_url,
            path=path,
        )
        self._fire = environment.events.request.fire

    def send_next(self) -> None:
        """Wait until the next request is due and send it."""
        due = self.began + next(self.due)
        gevent.sleep(max(0.0, due - time.perf_counter()))
        self.recording.arrived += 1
        if self.under_way.full():
            self.recording.held_up += 1
        self.under_way.spawn(self._operation(), due)

    def _operation(self) -> Callable[[float], None]:
        number = self.chance.randrange(100)
        if number < READS and self.recording.accepted:
            return self._read
        return self._list if number < READS + LISTS and self.recording.accepted else self._post

    def _post(self, due: float) -> None:
        headers = {**self.headers, "Idempotency-Key": str(uuid.uuid4())}
        answer = self._insist("POST payment", "POST", "/api/v1/payments", 202, due, headers, self.body)
        if answer:
            self.recording.accepted.append(json.loads(answer)["payment_id"])

    def _read(self, due: float) -> None:
        payment_id = self.chance.choice(self.recording.accepted)
        self._insist("GET payment", "GET", f"/api/v1/payments/{payment_id}", 200, due, self.headers)

    def _list(self, due: float) -> None:
        self._insist("GET list", "GET", "/api/v1/payments?limit=20", 200, due, self.headers)

    def _insist(
        self, name: str, method: str, path: str, wanted: int, due: float, headers: dict[str, str], body: bytes = b""
    ) -> bytes:
        """Repeat a refused request until it gets the wanted status. Return the answer, or b"" if it never does."""
        sent = time.perf_counter()
        status, answer = _BROKEN, b""
        while time.perf_counter() < sent + INSIST_SECONDS:
            status, answer, pause_seconds = self._ask(method, path, headers, body)
            self.recording.statuses[status] += 1
            if status not in {_BROKEN, 409, 429, 503}:
                break
            gevent.sleep(pause_seconds)
        answered = time.perf_counter()
        failure = None if status == wanted else f"{name}: {status or 'no connection'}"
        if failure is None:
            self.recording.of(name).add(due, sent, answered)
        else:
            self.recording.failures[failure] += 1
        self._fire(
            request_type=method,
            name=name,
            response_time=(answered - due) * 1000,
            response_length=len(answer),
            exception=None if failure is None else RuntimeError(failure),
            context={},
        )
        return answer if failure is None else b""

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, float]:
        """Send a request. Return status, body and seconds until a retry. Status 0 means a broken connection."""
        try:
            response = self.client.request(method, path, body=body, headers=headers)
            answer = bytes(response.read())
        except (OSError, ValueError):
            return _BROKEN, b"", 1.0
        retry_after = response.get("retry-after")
        if response.status_code in {429, 503} and retry_after is None:
            self.recording.silent_refusals += 1
        return response.status_code, answer, float(retry_after or 1)


class Dispatcher(User):  # type: ignore[misc]
    """The only user. It sends each request when it is due, however many users are asked for."""

    fixed_count = 1

    @task
    def send(self) -> None:
        """Send the next request."""
        _runs[-1].send_next()


_runs: list[Run] = []


@events.init_command_line_parser.add_listener
def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--arrivals", choices=["poisson", "even"], default="poisson", help="how requests are spread")


@events.test_start.add_listener
def _begin(environment: Environment, **_: Any) -> None:
    run = Run(environment)
    _runs.append(run)
    print(f"{run.rate:g} requests a second to {environment.host}", flush=True)
    gevent.spawn(_report_progress, run)


@events.test_stop.add_listener
def _end(environment: Environment, **_: Any) -> None:
    run = _runs[-1]
    arrived_seconds = time.perf_counter() - run.began
    run.under_way.join(timeout=INSIST_SECONDS)
    accepted = run.recording.accepted
    _say(run, f"waiting until {len(accepted):,} payments are settled")
    verdict = run.onlooker.wait(accepted, SETTLE_SECONDS_MAX, lambda _: gevent.sleep(0))
    run.onlooker.close()
    done = LoadRun(run.rate, arrived_seconds, run.recording, verdict)
    print(f"\n{write(done, environment)}", flush=True)
    if done.is_faulty:
        environment.process_exit_code = 1
    run.began = 0.0


def _report_progress(run: Run) -> None:
    while run.began:
        gevent.sleep(PROGRESS_SECONDS)
        recording = run.recording
        refused = recording.statuses[503] + recording.statuses[429]
        _say(
            run,
            f"{recording.arrived:,} arrived, {len(recording.accepted):,} accepted, {len(run.under_way):,} in flight,"
            f" {refused:,} refusals, {recording.failures.total():,} failed",
        )


def _say(run: Run, text: str) -> None:
    print(f"{time.perf_counter() - run.began:5.0f} s  {text}", flush=True)
