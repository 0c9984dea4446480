"""A wait that breaks gives its slot back, however it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from uuid import UUID

import pytest

from local.testkit.payments import MovableClock, new_merchant, new_payment
from paybridge.core.clock import SystemClock
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.store import waits
from paybridge.payments.wait import Sleep, Waiter, wait_for_payment

pytestmark = pytest.mark.integration

_TAKEN = Statement("SELECT slot FROM api_waits WHERE ends_at > now()")


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as connection:
        yield connection


@pytest.fixture(scope="module")
def payment(database: Database) -> tuple[UUID, UUID]:
    """Return a merchant and its pending payment."""
    merchant_id = new_merchant(database)
    return merchant_id, new_payment(database, merchant_id)


def waiting(database: Database, sleep: Sleep) -> Waiter:
    """Return a wait that has the only slot."""
    return Waiter(database, SystemClock(), sleep, waits_max=1)


def assert_free(database: Database, payment: tuple[UUID, UUID]) -> None:
    """Assert that no slot is taken, and that the next request may wait."""
    assert database.run(_TAKEN) == []
    waited = asyncio.run(wait_for_payment(waiting(database, asyncio.sleep), *payment, 0.05))
    assert waited.granted


class TestASlotIsGivenBack:
    def test_when_the_request_is_cancelled(self, database: Database, payment: tuple[UUID, UUID]) -> None:
        async def cancel() -> None:
            is_waiting = asyncio.Event()

            async def sleep(_: float) -> None:
                is_waiting.set()
                await asyncio.sleep(20)

            task = asyncio.ensure_future(wait_for_payment(waiting(database, sleep), *payment, 20))
            await is_waiting.wait()
            assert database.run(_TAKEN)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        assert_free(database, payment)

    @pytest.mark.parametrize("error", [RuntimeError("broken"), TimeoutError(), KeyboardInterrupt()])
    def test_when_the_wait_fails(self, database: Database, payment: tuple[UUID, UUID], error: BaseException) -> None:
        async def fail(_: float) -> None:
            assert database.run(_TAKEN)
            raise error

        with pytest.raises(type(error)):
            asyncio.run(wait_for_payment(waiting(database, fail), *payment, 20))
        assert_free(database, payment)

    def test_when_a_poll_finds_no_database(
        self, database: Database, payment: tuple[UUID, UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from paybridge.payments.store import queries

        answers = iter([queries.get(database, *payment)])

        def get(*_: object) -> object:
            for answer in answers:
                return answer
            raise DatabaseUnavailable("gone")

        monkeypatch.setattr("paybridge.payments.wait.payment_queries.get", get)
        with pytest.raises(DatabaseUnavailable):
            asyncio.run(wait_for_payment(waiting(database, asyncio.sleep), *payment, 20))
        monkeypatch.undo()
        assert_free(database, payment)

    def test_when_it_ends_without_an_outcome(self, database: Database, payment: tuple[UUID, UUID]) -> None:
        waited = asyncio.run(wait_for_payment(waiting(database, asyncio.sleep), *payment, 0.1))
        assert waited.granted
        assert_free(database, payment)


def test_a_slot_that_another_request_has_by_now_is_not_released(database: Database) -> None:
    first = waits.take(database, 1, 0)
    second = waits.take(database, 1, 5)
    assert first is not None
    assert second is not None
    waits.release(database, first)
    assert waits.take(database, 1, 5) is None
    waits.release(database, second)
    assert database.run(_TAKEN) == []


def test_a_clock_that_is_set_back_does_not_prolong_the_wait(database: Database, payment: tuple[UUID, UUID]) -> None:
    clock = MovableClock()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        clock.move(-60)
        slept.append(seconds)
        assert sum(slept) < 2

    waited = asyncio.run(wait_for_payment(Waiter(database, clock, sleep, waits_max=1), *payment, 0.5))
    assert waited.granted
    assert sum(slept) >= 0.5
