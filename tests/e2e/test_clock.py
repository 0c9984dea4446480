"""The test clock: days of the whole stack's time pass in seconds, and everything that was due then has happened."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.servers import postgres
from local.servers.postgres import connect
from local.servers.processes import free_port
from local.settings import PROJECT, PYTHON_PATH, VARIABLES, LocalSettings
from local.stack.seed import DEMO_API_KEY
from local.stack.stack import Stack
from local.testkit import live, servers
from local.testkit.live import Merchant, merchant
from local.testkit.stacks import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

# The schedule of Standard Webhooks: ten tries within 75 hours.
DELAYS_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
HOUR, DAY = 3600, 86_400
# What a request, a batch and a stop of the clock may add to a delay.
LATE_SECONDS_MAX = 30


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> LocalSettings:
    return replace(
        servers.private_settings(tmp_path_factory.mktemp("clock")),
        gateway_latency_seconds_min=0.0,
        gateway_latency_seconds_max=0.0,
        webhook_retry_delays_seconds=",".join(map(str, DELAYS_SECONDS)),
    )


@pytest.fixture(scope="module")
def patient(settings: LocalSettings, shared_broker: servers.Broker | None) -> Iterator[Stack]:
    """A stack of the module's own, because its time leaves that of the other tests."""
    with running_stack(settings, shared_broker) as stack:
        yield stack


@pytest.fixture(scope="module")
def shop(patient: Stack) -> Iterator[Merchant]:
    with merchant(patient, DEMO_API_KEY) as one:
        yield one


def ask(stack: Stack, order: Any) -> httpx.Response:
    return httpx.post(f"{stack.urls.api}/test/clock/advance", json=order, timeout=120, trust_env=False)


def advance(stack: Stack, seconds: float) -> dict[str, Any]:
    """Advance and return the answer."""
    response = ask(stack, {"seconds": seconds})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["settled"], answer
    return answer


def stack_time(stack: Stack) -> datetime:
    shown = httpx.get(f"{stack.urls.api}/test/clock", trust_env=False, timeout=30).json()
    return datetime.fromisoformat(shown["now"])


def retried_for_75_hours(stack: Stack, shop: Merchant) -> float:
    """Let every try of a webhook fail, check each, and return how many seconds the advance took."""
    sink = stack.urls.sink
    payment_id = shop.pay(webhook_url=f"{sink}/status/500/patient")
    live.eventually(lambda: live.received(sink, payment_id), "the first try")
    begun = time.monotonic()
    answer = advance(stack, 76 * HOUR)
    took_seconds = time.monotonic() - begun
    requests = live.received(sink, payment_id)
    moments = [datetime.fromisoformat(request["received_at"]) for request in requests]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(moments)]
    assert len(gaps) == len(DELAYS_SECONDS), answer
    for gap, scheduled in zip(gaps, DELAYS_SECONDS, strict=True):
        assert scheduled - 0.05 <= gap <= scheduled + LATE_SECONDS_MAX
    assert all(request["verified"] for request in requests)
    assert len({request["headers"]["webhook-id"] for request in requests}) == 1
    assert "webhook.exhausted" in {entry["type"] for entry in shop.timeline(payment_id)}
    return took_seconds


def test_75_hours_of_webhook_retries_pass_in_seconds(patient: Stack, shop: Merchant) -> None:
    assert retried_for_75_hours(patient, shop) < 60


def test_an_authorization_expires_after_seven_days(patient: Stack, shop: Merchant) -> None:
    payment_id = shop.pay(capture="manual", webhook_url=f"{patient.urls.sink}/ok/expires")
    held = live.eventually(
        lambda: payment if (payment := shop.get(payment_id))["status"] == "requires_capture" else None, "authorized"
    )
    capture_before = datetime.fromisoformat(held["capture_before"])
    assert timedelta(days=6.9) < capture_before - stack_time(patient) <= timedelta(days=7)
    advance(patient, 6.5 * DAY)
    assert shop.get(payment_id)["status"] == "requires_capture"
    advance(patient, 1.5 * DAY)
    ended = shop.get(payment_id)
    assert (ended["status"], ended["failure_code"]) == ("canceled", "authorization_expired")
    canceled = [entry for entry in shop.timeline(payment_id) if entry["type"] == "payment.canceled"]
    assert len(canceled) == 1
    ended_at = datetime.fromisoformat(canceled[0]["at"])
    # It ended when its time was over and not at the end of the advance.
    assert timedelta() <= ended_at - capture_before < timedelta(minutes=2)
    told = [r for r in live.received(patient.urls.sink, payment_id) if r["body"]["type"] == "payment.canceled"]
    assert [request["verified"] for request in told] == [True]
    assert abs(datetime.fromisoformat(told[0]["received_at"]) - ended_at) < timedelta(minutes=2)


def test_partitions_of_later_months_are_made_and_used(patient: Stack, shop: Merchant) -> None:
    with closing(connect(patient.urls.postgres)) as connection:
        newest = "SELECT max(relname) FROM pg_class WHERE relname ~ '^payments_\\d{4}_\\d{2}$'"
        before = connection.run(newest)[0][0]
        advance(patient, 62 * DAY)
        assert connection.run(newest)[0][0] > before
        payment_id = shop.pay(webhook_url=f"{patient.urls.sink}/ok/month")
        table = connection.run("SELECT tableoid::regclass::text FROM payments WHERE id = :id::uuid", id=payment_id)
    assert table == [[f"payments_{stack_time(patient):%Y_%m}"]]
    assert shop.settled(payment_id)["status"] == "succeeded"
    assert live.webhook(patient.urls.sink, payment_id)["verified"]


def test_a_rotated_key_works_until_its_overlap_ends(patient: Stack, shop: Merchant) -> None:
    keys = f"{patient.urls.api}/api/v1/api-keys"

    def status(key: str) -> int:
        return httpx.get(keys, headers={"X-API-Key": key}, trust_env=False, timeout=30).status_code

    first = httpx.post(
        keys, json={"name": "first"}, headers={"X-API-Key": shop.api_key}, trust_env=False, timeout=30
    ).json()
    assert status(first["api_key"]) == 200
    rotation = httpx.post(
        f"{keys}/{first['key_id']}/rotate",
        json={"overlap_seconds": DAY},
        headers={"X-API-Key": shop.api_key},
        trust_env=False,
        timeout=30,
    )
    assert rotation.status_code == 201, rotation.text
    second = rotation.json()["api_key"]
    assert [status(first["api_key"]), status(second)] == [200, 200]
    advance(patient, DAY - 60)
    assert [status(first["api_key"]), status(second)] == [200, 200]
    advance(patient, 61)
    assert [status(first["api_key"]), status(second)] == [401, 200]


def test_every_process_tells_the_same_time(patient: Stack, shop: Merchant) -> None:
    advance(patient, 3 * HOUR)
    real_time = datetime.now(UTC)
    begin = stack_time(patient)
    assert begin - real_time > timedelta(hours=3)
    payment_id = shop.pay(webhook_url=f"{patient.urls.sink}/ok/same")
    webhook = live.webhook(patient.urls.sink, payment_id)
    charge = live.charges(patient.urls.gateway, payment_id)[0]
    with closing(connect(patient.urls.postgres)) as connection:
        database_time = connection.run("SELECT clock_timestamp()")[0][0]
    in_id = datetime.fromtimestamp(int(payment_id.replace("-", "")[:12], 16) / 1000, UTC)
    signed = datetime.fromtimestamp(int(webhook["headers"]["webhook-timestamp"]), UTC)
    texts = [shop.get(payment_id)["created_at"], charge["created_at"], webhook["received_at"]]
    texts += [entry["at"] for entry in shop.timeline(payment_id)]
    end = stack_time(patient)
    for moment in (database_time, in_id, signed, *map(datetime.fromisoformat, texts)):
        assert begin - timedelta(seconds=2) <= moment <= end + timedelta(seconds=2)


def test_the_command_advances_the_clock_and_makes_tokens_by_it(patient: Stack) -> None:
    def paybridge(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "local.commands.operator", *arguments],
            cwd=PROJECT,
            env={
                **os.environ,
                "PAYBRIDGE_LOCAL_STATE_DIR": str(patient.settings.state_dir),
                "PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH)),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(
            f"{patient.urls.api}/api/v1/api-keys", headers=headers, trust_env=False, timeout=30
        ).status_code

    before = stack_time(patient)
    assert json.loads(paybridge("clock", "advance", "1d2h", "--json"))["advanced_seconds"] == 26 * HOUR
    assert stack_time(patient) - before >= timedelta(hours=26)
    token = paybridge("token", "--valid-for", "15m")
    assert status(token) == 200
    assert "ahead, after" in paybridge("clock", "advance", "17m")
    assert status(token) == 401


def test_time_flows_between_advances(patient: Stack) -> None:
    begun, before = time.monotonic(), stack_time(patient)
    time.sleep(0.3)
    passed = (stack_time(patient) - before).total_seconds()
    assert 0.3 <= passed <= time.monotonic() - begun + 0.01


def test_advances_at_the_same_time_add_up(patient: Stack) -> None:
    start = advance(patient, 0)["ahead_seconds"]
    begun, before = time.monotonic(), stack_time(patient)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda seconds: advance(patient, seconds), (HOUR, 2 * HOUR, 0, 3 * HOUR)))
    passed = (stack_time(patient) - before).total_seconds()
    assert 6 * HOUR <= passed <= 6 * HOUR + time.monotonic() - begun + 0.1
    assert max(answer["ahead_seconds"] for answer in answers) == pytest.approx(start + 6 * HOUR, abs=1e-3)


@pytest.mark.parametrize(
    "order",
    [{}, {"seconds": -1}, {"seconds": "75"}, {"seconds": True}, {"seconds": None}, {"seconds": 366 * DAY + 1}, [1], 5],
    ids=str,
)
def test_refuses_what_is_no_number_of_seconds(patient: Stack, order: Any) -> None:
    ahead = httpx.get(f"{patient.urls.api}/test/clock", trust_env=False, timeout=30).json()["ahead_seconds"]
    response = ask(patient, order)
    assert response.status_code == 422
    problem = response.json()
    assert (problem["code"], problem["errors"][0]["field"]) == ("validation_failed", "seconds")
    assert httpx.get(f"{patient.urls.api}/test/clock", trust_env=False, timeout=30).json()["ahead_seconds"] == ahead


def test_refuses_a_body_that_is_not_json(patient: Stack) -> None:
    response = httpx.post(f"{patient.urls.api}/test/clock/advance", content=b"seconds=5", trust_env=False, timeout=30)
    assert (response.status_code, response.json()["code"]) == (400, "request_malformed")


def test_database_and_functions_keep_the_time_over_a_restart(patient: Stack, shop: Merchant) -> None:
    advance(patient, DAY)
    before = stack_time(patient)
    patient.processes.stop_child("bridge")
    patient.database.stop()
    postgres.start(patient.settings, patient.processes)
    patient.start_functions()
    passed = stack_time(patient) - before
    assert timedelta() < passed < timedelta(minutes=2)
    earlier = stack_time(patient)
    with closing(connect(patient.urls.postgres)) as connection:
        database_time = connection.run("SELECT now()")[0][0]
    payment = shop.settled(shop.pay())
    for moment in (database_time, datetime.fromisoformat(payment["created_at"])):
        assert earlier - timedelta(seconds=2) <= moment <= stack_time(patient) + timedelta(seconds=2)


def test_says_that_the_database_is_down_and_stays_where_it_was(patient: Stack) -> None:
    before = stack_time(patient)
    patient.database.stop()
    try:
        response = ask(patient, {"seconds": DAY})
    finally:
        postgres.start(patient.settings, patient.processes)
    assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
    assert stack_time(patient) - before < timedelta(minutes=2)


def test_workers_keep_up(settings: LocalSettings, shared_broker: servers.Broker | None, tmp_path: Path) -> None:
    ports = {name: free_port() for name in VARIABLES if name.endswith("_port")}
    with (
        running_stack(replace(settings, state_dir=tmp_path, workers=1, **ports), shared_broker) as stack,
        merchant(stack, DEMO_API_KEY) as shop,
    ):
        # Its charge is in the hands of a worker when the time moves, and its answer is lost.
        payment_id = shop.pay(payment_method="tok_timeout_charged")
        assert retried_for_75_hours(stack, shop) < 90
        assert shop.get(payment_id)["status"] == "succeeded"
