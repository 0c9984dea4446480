"""Where the test clock is, what it takes for seconds, and what the stack waits for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import httpx
import pg8000.native
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.sam_template.template import read_template
from local.bridge.http import HttpFront
from local.bridge.problems import ProblemError
from local.bridge.stack_clock import RELAY, SECONDS_MAX, jobs_schedules, read_seconds
from local.clock import due
from local.clock.client import ClockRequestError, advance
from local.clock.database import install
from local.lambda_host.model import InvocationResult
from local.servers.postgres import connect
from local.stack.localstack import LocalStack
from local.stack.sam_local import SamLocal
from local.stack.stack import Stack
from local.testkit import servers
from tests.support.template import ROOT


@pytest.fixture(scope="module")
def url(postgres_server: servers.Postgres) -> Iterator[str]:
    url = postgres_server.fresh_database()
    install(url)
    yield url
    postgres_server.drop_database(url)


class TestRoute:
    async def test_does_not_exist_without_a_clock(self) -> None:
        """So it is on AWS, where there is no front, and in front of containers or an emulator."""
        async with HttpFront([], Refusing()) as front, httpx.AsyncClient(trust_env=False, timeout=30) as client:
            base = f"http://127.0.0.1:{front.port}"
            advanced = await client.post(f"{base}/test/clock/advance", json={"seconds": 1})
            shown = await client.get(f"{base}/test/clock")
        assert [advanced.status_code, shown.status_code] == [404, 404]

    @pytest.mark.parametrize(
        ("kind", "has_clock"),
        [(Stack, True), (SamLocal, False), (LocalStack, False)],
        ids=["local", "sam", "localstack"],
    )
    def test_is_asked_for_by_the_local_stack_alone(
        self, kind: type[Stack], has_clock: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        stack = kind(servers.private_settings(tmp_path_factory.mktemp("state")))
        assert ("--clock" in Stack._bridge_arguments(stack)) is has_clock
        assert bool(stack.clock_variables) is has_clock


class TestReadSeconds:
    @given(st.integers(0, SECONDS_MAX) | st.floats(0, SECONDS_MAX))
    def test_takes_what_goes_forward(self, seconds: float) -> None:
        assert read_seconds(json.dumps({"seconds": seconds}).encode()) == seconds

    @given(
        st.one_of(
            st.integers(max_value=-1),
            st.floats(max_value=-1e-9, allow_infinity=False),
            st.integers(SECONDS_MAX + 1, 2**63),
            st.booleans(),
            st.none(),
            st.text(),
            st.lists(st.integers()),
        )
    )
    def test_refuses_everything_else(self, seconds: Any) -> None:
        with pytest.raises(ProblemError) as refusal:
            read_seconds(json.dumps({"seconds": seconds}).encode())
        assert (refusal.value.status, refusal.value.field) == (422, "seconds")

    @pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"\xff"])
    def test_refuses_what_is_not_json(self, body: bytes) -> None:
        with pytest.raises(ProblemError) as refusal:
            read_seconds(body)
        assert refusal.value.status == 400


def test_fires_every_schedule_but_the_relays() -> None:
    template = read_template(ROOT / "template.yaml", {}, read_ssm=lambda name: name)
    fired = {schedule.function for schedule in jobs_schedules(template.functions.values())}
    scheduled = {name for name, function in template.functions.items() if function.schedules}
    assert RELAY in scheduled
    assert fired == scheduled - {RELAY}


class TestDue:
    @pytest.fixture
    def connection(self, url: str) -> Iterator[pg8000.native.Connection]:
        with closing(connect(url)) as connection:
            connection.run("BEGIN")
            yield connection
            connection.run("ROLLBACK")

    def test_an_empty_stack_waits_for_the_next_month(self, connection: pg8000.native.Connection) -> None:
        (found,) = due.next_in_database(connection)
        moment = datetime.fromtimestamp(found.at, UTC)
        assert (found.what, found.is_job, moment.day, moment.hour) == ("month begins", True, 1, 0)
        assert not due.are_jobs_due(connection)
        assert not due.are_messages_due(connection)
        assert not due.is_work_in_hand(connection)

    @pytest.mark.parametrize(("delay", "is_due"), [("-1 second", True), ("1 hour", False)])
    def test_waits_for_messages(self, connection: pg8000.native.Connection, delay: str, is_due: bool) -> None:
        connection.run(
            "INSERT INTO outbox (id, payment_id, merchant_id, type, exchange, routing_key, correlation_id, body, "
            "available_at) VALUES (uuid7_floor(now()), gen_random_uuid(), gen_random_uuid(), 'test', 'payments', "
            "'test', 'c', '{}', now() + :delay::interval)",
            delay=delay,
        )
        assert due.are_messages_due(connection) is is_due
        assert ("message" in {found.what for found in due.next_in_database(connection)}) is not is_due

    @pytest.mark.parametrize(("delay", "is_due"), [("-1 second", True), ("1 hour", False)])
    def test_waits_for_jobs(self, connection: pg8000.native.Connection, delay: str, is_due: bool) -> None:
        connection.run(
            "INSERT INTO circuits (name, consecutive_failures, open_until) "
            "VALUES ('gateway', 5, now() + :delay::interval) "
            "ON CONFLICT (name) DO UPDATE SET open_until = excluded.open_until",
            delay=delay,
        )
        assert due.are_jobs_due(connection) is is_due
        assert ("circuit" in {found.what for found in due.next_in_database(connection)}) is not is_due


async def test_the_client_says_that_there_is_no_clock() -> None:
    async with HttpFront([], Refusing()) as front:
        with pytest.raises(ClockRequestError, match="no test clock"):
            await asyncio.to_thread(advance, f"http://127.0.0.1:{front.port}", 5)


class Refusing:
    """No function is there to be invoked."""

    async def invoke(self, function_name: str, payload: bytes, *, wait_seconds_max: float = 0.0) -> InvocationResult:
        raise AssertionError(function_name)

    async def invoke_event(self, function_name: str, payload: bytes, retry_policy: object = None) -> None:
        raise AssertionError(function_name)
