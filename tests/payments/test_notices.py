"""A gateway's notice makes the engine ask, once, whenever and however often it comes."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.locks import held, patient_database
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows, payment_row, rows
from paybridge.core.events import PROCESS_PAYMENT, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.accept_notice import accept_notice
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.gateway_answers import GatewayAnswer, LookUpAnswer, NotFound, Pending, Succeeded
from paybridge.payments.domain.notice import WAIT_SECONDS, WAITS_SECONDS_MAX, Claim, GatewayNotice, NoticeOutcome
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.records import EngineServices
from paybridge.payments.run_operations import run_operations
from paybridge.payments.start_attempts import start_attempts
from paybridge.payments.store import notices
from paybridge.payments.store.notices import NoticeKey
from paybridge.payments.work_on_notices import NOTICES_KEPT, expire_notices, work_on_due_notices, work_on_notices
from paybridge.runners.consumer import order_of
from tests.support.scripted_gateway import engine_services

pytestmark = pytest.mark.integration

THREADS = 20

_numbers = itertools.count(1)


class DecidingGateway:
    """A gateway that takes a charge as pending, and looks up what the test says."""

    def __init__(self) -> None:
        self.found: LookUpAnswer = NotFound()
        self.sent = 0
        self.look_ups = 0

    async def send(self, _: GatewayRequest) -> GatewayAnswer:
        self.sent += 1
        return Pending()

    async def find(self, _: GatewayRequest) -> LookUpAnswer:
        self.look_ups += 1
        return self.found

    async def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def gateway() -> DecidingGateway:
    return DecidingGateway()


@pytest.fixture
def services(database_address: DatabaseAddress, gateway: DecidingGateway) -> Iterator[EngineServices]:
    with closing(Database(database_address)) as database:
        services = engine_services(database, gateway, MovableClock())
        # These delays outlast any test, so no scheduled look-up becomes due while one runs.
        yield replace(services, schedule=Schedule(retry_delays=(1, 2), pending_delays=(60, 120)))


def notice(operation_id: uuid.UUID | None, claim: Claim = Claim.DONE, id_: str | None = None) -> GatewayNotice:
    return GatewayNotice(id_ or f"ntc_{next(_numbers)}_{uuid.uuid4()}", "charge.succeeded", operation_id, claim)


def accept(services: EngineServices, given: GatewayNotice, gateway: str = "default") -> None:
    accept_notice(services.database, services.clock, services.ids, gateway, given)


def outcome_of(services: EngineServices, given: GatewayNotice) -> str:
    sql = "SELECT to_json(n) FROM gateway_notices n WHERE id = :id::text"
    return str(rows(services.database, sql, id=given.id)[0]["outcome"])


def work_on_due(services: EngineServices) -> dict[NoticeKey, NoticeOutcome]:
    return work_on_due_notices(services.database, services.clock, services.ids).outcomes


def commands(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    """The messages that ask for this payment, without that of its creation."""
    return [row for row in outbox_rows(services.database, payment_id) if row["type"] == PROCESS_PAYMENT]


def asked(services: EngineServices, payment_id: uuid.UUID) -> list[tuple[int, int]]:
    data = [orjson.loads(row["body"])["data"] for row in commands(services, payment_id)]
    return [(each["attempt"], each["ask"]) for each in data]


async def run(services: EngineServices, messages: list[dict[str, Any]]) -> None:
    """Deliver the messages one after the other."""
    for row in messages:
        await run_operations(services, [order_of(parse_envelope(orjson.loads(row["body"])))])


async def pending(services: EngineServices) -> uuid.UUID:
    """A payment whose charge the gateway has not decided yet; the next question is scheduled."""
    payment_id = new_payment(services.database, new_merchant(services.database))
    await run(services, outbox_rows(services.database, payment_id))
    assert asked(services, payment_id) == [(1, 1)]
    return payment_id


def events(services: EngineServices, payment_id: uuid.UUID) -> list[str]:
    return [row["type"] for row in outbox_rows(services.database, payment_id) if row["sequence"] is not None]


class TestOpenOperations:
    async def test_the_gateway_is_asked_now_what_was_to_be_asked_later(
        self, services: EngineServices, gateway: DecidingGateway
    ) -> None:
        payment_id = await pending(services)
        given = notice(payment_id)
        accept(services, given)
        assert outcome_of(services, given) == "asked"
        assert asked(services, payment_id) == [(1, 1), (1, 1)]
        scheduled, now = commands(services, payment_id)
        assert scheduled["available_at"] > now["available_at"]
        gateway.found = Succeeded("ch_1")
        await run(services, [now, scheduled])
        assert payment_row(services.database, payment_id)["status"] == "succeeded"
        assert events(services, payment_id) == ["payment.created", "payment.processing", "payment.succeeded"]

    async def test_the_same_notice_twice_asks_once(self, services: EngineServices) -> None:
        payment_id = await pending(services)
        given = notice(payment_id)
        for _ in range(2):
            accept(services, given)
        assert len(commands(services, payment_id)) == 2

    async def test_what_it_says_is_not_believed(self, services: EngineServices, gateway: DecidingGateway) -> None:
        payment_id = await pending(services)
        accept(services, notice(payment_id, Claim.DONE))
        gateway.found = Pending()
        await run(services, commands(services, payment_id)[1:])
        assert payment_row(services.database, payment_id)["status"] == "processing"

    @pytest.mark.parametrize("seed", range(5))
    async def test_any_number_in_any_order_settles_once(
        self, services: EngineServices, gateway: DecidingGateway, seed: int
    ) -> None:
        payment_id = await pending(services)
        claims = random.Random(seed).sample([*Claim, *Claim], 4)
        for claim in claims:
            accept(services, notice(payment_id, claim))
        gateway.found = Succeeded("ch_1")
        messages = commands(services, payment_id) * 2
        random.Random(seed).shuffle(messages)
        await run(services, messages)
        assert (gateway.sent, gateway.look_ups) == (1, 1)
        assert events(services, payment_id).count("payment.succeeded") == 1
        # Now they say what is recorded, or what cannot be.
        for claim in claims:
            given = notice(payment_id, claim)
            accept(services, given)
            assert outcome_of(services, given) == "known"

    async def test_another_gateway_cannot_ask_about_it(self, services: EngineServices) -> None:
        payment_id = await pending(services)
        given = notice(payment_id)
        accept(services, given, "stripe")
        assert outcome_of(services, given) == "waiting"
        assert len(commands(services, payment_id)) == 1


class TestAtOnce:
    async def test_of_many_that_bring_the_same_notice_one_asks(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await pending(services)
        given, barrier = notice(payment_id), threading.Barrier(THREADS)

        def bring() -> None:
            with closing(patient_database(database_address)) as database:
                barrier.wait()
                accept_notice(database, services.clock, Uuid7Ids(), "default", given)

        with ThreadPoolExecutor(THREADS) as threads:
            for future in [threads.submit(bring) for _ in range(THREADS)]:
                future.result()
        assert outcome_of(services, given) == "asked"
        assert asked(services, payment_id) == [(1, 1), (1, 1)]

    async def test_notices_and_jobs_at_once_settle_once(
        self, services: EngineServices, database_address: DatabaseAddress, gateway: DecidingGateway
    ) -> None:
        payment_id = await pending(services)
        barrier = threading.Barrier(THREADS)

        def bring(number: int) -> None:
            with closing(Database(database_address)) as database:
                given = notice(payment_id, list(Claim)[number % 3])
                assert notices.store(database, "default", given, services.clock.now())
                barrier.wait()
                work_on_due_notices(database, services.clock, Uuid7Ids())

        with ThreadPoolExecutor(THREADS) as threads:
            for future in [threads.submit(bring, number) for number in range(THREADS)]:
                future.result()
        work_on_due(services)
        gateway.found = Succeeded("ch_1")
        await run(services, commands(services, payment_id))
        assert len(commands(services, payment_id)) == THREADS + 1
        assert (gateway.sent, gateway.look_ups) == (1, 1)
        assert events(services, payment_id).count("payment.succeeded") == 1


class TestWaiting:
    async def test_a_notice_that_outruns_our_record_of_the_call_waits_for_it(
        self, services: EngineServices, gateway: DecidingGateway
    ) -> None:
        payment_id = new_payment(services.database, new_merchant(services.database))
        orders = [order_of(parse_envelope(orjson.loads(outbox_rows(services.database, payment_id)[0]["body"])))]
        # The call is under way, and its answer is not there yet.
        assert start_attempts(services, orders, GatewayWatch()).attempts
        given = notice(payment_id)
        accept(services, given)
        assert outcome_of(services, given) == "waiting"
        assert commands(services, payment_id) == []
        # The process died, so the message comes again after the lease.
        assert isinstance(services.clock, MovableClock)
        services.clock.move(services.lease_seconds + WAIT_SECONDS)
        gateway.found = Pending()
        await run_operations(services, orders)
        assert payment_row(services.database, payment_id)["status"] == "processing"
        assert work_on_due(services)[NoticeKey("default", given.id)] == "asked"

    def test_an_operation_that_never_comes_is_unknown_after_an_hour(self, services: EngineServices) -> None:
        given = notice(uuid.uuid4())
        accept(services, given)
        key = NoticeKey("default", given.id)
        assert isinstance(services.clock, MovableClock)
        services.clock.move(WAITS_SECONDS_MAX - 60)
        assert work_on_due(services)[key] == "waiting"
        services.clock.move(60 + WAIT_SECONDS)
        assert work_on_due(services)[key] == "unknown"
        services.clock.move(WAIT_SECONDS)
        assert key not in work_on_due(services)

    def test_one_that_names_nothing_of_ours_does_not_wait(self, services: EngineServices) -> None:
        given = notice(None, Claim.OTHER)
        accept(services, given)
        assert outcome_of(services, given) == "unknown"

    async def test_one_that_another_process_works_on_is_left_alone(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await pending(services)
        given = notice(payment_id)
        assert notices.store(services.database, "default", given, services.clock.now())
        key = NoticeKey("default", given.id)
        with held(database_address, "SELECT FROM gateway_notices WHERE id = :id::text FOR UPDATE", id=given.id):
            assert work_on_notices(services.database, services.clock, services.ids, [key]).outcomes == {}
        assert work_on_due(services)[key] == "asked"


class TestDeath:
    async def test_a_process_that_dies_leaves_all_of_it_or_nothing(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await pending(services)
        given = notice(payment_id)
        assert notices.store(services.database, "default", given, services.clock.now())
        key = NoticeKey("default", given.id)

        def act(database: Database) -> None:
            work_on_notices(database, services.clock, Uuid7Ids(), [key])

        steps = die_at_every_step(
            database_address, act, lambda: (outcome_of(services, given), len(commands(services, payment_id)))
        )
        assert steps >= 4
        assert (outcome_of(services, given), len(commands(services, payment_id))) == ("asked", 2)

    async def test_a_notice_that_is_stored_and_not_worked_on_is_left_to_the_job(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await pending(services)
        given = notice(payment_id)
        lock = "LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE"
        with held(database_address, lock):
            accept(services, given)
        assert outcome_of(services, given) == "waiting"
        assert work_on_due(services)[NoticeKey("default", given.id)] == "asked"


class TestExpireNotices:
    def test_old_ones_are_deleted_and_those_that_wait_are_kept(self, services: EngineServices) -> None:
        done, waiting = notice(None), notice(uuid.uuid4())
        for given in (done, waiting):
            accept(services, given)
        clock = MovableClock()
        assert expire_notices(services.database, clock) == 0
        clock.move((NOTICES_KEPT + timedelta(seconds=1)).total_seconds())
        assert expire_notices(services.database, clock) >= 1
        left = services.database.run(Statement("SELECT id FROM gateway_notices"))
        assert [done.id] not in left
        assert [waiting.id] in left
