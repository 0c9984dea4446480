"""The skeleton of the runners: patience with the database, counts, poison and bounded log lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

import pytest

from paybridge import wiring
from paybridge.core.errors import BrokerUnavailable, DatabaseUnavailable, LockTimeout, SecretUnavailable
from paybridge.core.events import parse_envelope
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.rabbitmq.batch import Batch, Poison, Received
from paybridge.runners import batch as runner
from paybridge.runners.batch import LOGGED_MAX, log_results, run_batch
from paybridge.wiring import broker
from tests.support.envelopes import an_envelope
from tests.support.standing_time import StandingTime

RECEIVED = Received("payments.new", parse_envelope(an_envelope()), "m-1", b"{}")
POISON = Poison("payments.new", "id", b"secret body", "MalformedMessage: not a CloudEvent 1.0")


@pytest.fixture
def dead_letters(monkeypatch: pytest.MonkeyPatch) -> list[Poison]:
    """What was dead-lettered; the database of these tests always answers."""
    taken: list[Poison] = []

    async def dead_letter(poison: Sequence[Poison]) -> None:
        taken.extend(poison)

    monkeypatch.setattr(runner, "await_database", lambda *_: datetime.now(UTC))
    monkeypatch.setattr(wiring, "database", lambda: None)
    monkeypatch.setattr(broker, "dead_letter", dead_letter)
    return taken


@pytest.fixture
def handed_back(monkeypatch: pytest.MonkeyPatch) -> list[Received]:
    """What was handed back to its queue."""
    taken: list[Received] = []

    async def hand_back(received: Sequence[Received]) -> None:
        taken.extend(received)

    monkeypatch.setattr(broker, "hand_back", hand_back)
    return taken


async def count_work(batch: Batch) -> Mapping[str, int]:
    return {"worked": 2}


class TestRunBatch:
    async def test_the_counts_of_the_work_stand_between_messages_and_poison(self, dead_letters: list[Poison]) -> None:
        counts = await run_batch(Batch(), count_work, 1.0)
        assert list(counts.items()) == [("messages", 0), ("worked", 2), ("poison", 0)]
        assert dead_letters == []

    async def test_poison_is_dead_lettered_and_logged_without_its_body(
        self, dead_letters: list[Poison], caplog: pytest.LogCaptureFixture
    ) -> None:
        async def find_poison(batch: Batch) -> Mapping[str, int]:
            batch.poison.append(POISON)
            return {}

        assert (await run_batch(Batch(), find_poison, 1.0))["poison"] == 1
        assert dead_letters == [POISON]
        (line,) = [vars(record) for record in caplog.records if record.message == "poison messages"]
        assert line["reasons"] == [POISON.reason]
        assert "secret body" not in str(line)

    async def test_failed_work_leaves_the_poison_to_the_redelivered_batch(self, dead_letters: list[Poison]) -> None:
        async def fail(batch: Batch) -> Mapping[str, int]:
            raise BrokerUnavailable("down")

        with pytest.raises(BrokerUnavailable):
            await run_batch(Batch(poison=[POISON]), fail, 1.0)
        assert dead_letters == []


class TestBusyDatabase:
    async def test_without_a_database_no_work_begins_and_the_batch_is_handed_back(
        self, monkeypatch: pytest.MonkeyPatch, handed_back: list[Received]
    ) -> None:
        async def fail(batch: Batch) -> Mapping[str, int]:
            raise AssertionError("work began")

        with closing(Database(DatabaseAddress("127.0.0.1", 1, "none", "none", "none"))) as nowhere:
            monkeypatch.setattr(wiring, "database", lambda: nowhere)
            counts = await run_batch(Batch(events=[RECEIVED]), fail, 0.01)
        assert counts == {"messages": 1, "handed_back": 1, "poison": 0}
        assert handed_back == [RECEIVED]

    @pytest.mark.parametrize(
        "error",
        [LockTimeout("held"), DatabaseUnavailable("down"), SecretUnavailable("down")],
        ids=lambda error: type(error).__name__,
    )
    async def test_work_that_meets_a_busy_database_is_repeated(
        self, dead_letters: list[Poison], handed_back: list[Received], error: Exception
    ) -> None:
        tries = []

        async def fail_once(batch: Batch) -> Mapping[str, int]:
            batch.poison.append(POISON)
            tries.append(batch)
            if len(tries) == 1:
                raise error
            return {"worked": 1}

        counts = await run_batch(Batch(events=[RECEIVED]), fail_once, 5.0)
        assert counts == {"messages": 1, "worked": 1, "poison": 1}
        assert (dead_letters, handed_back) == ([POISON], [])

    async def test_a_database_that_stays_busy_gets_the_batch_back_and_its_poison_is_dead_lettered(
        self, dead_letters: list[Poison], handed_back: list[Received], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(batch: Batch) -> Mapping[str, int]:
            raise LockTimeout("held")

        time = StandingTime()
        monkeypatch.setattr(runner, "time", time)
        monkeypatch.setattr(runner.asyncio, "sleep", time.sleep_async)
        counts = await run_batch(Batch(events=[RECEIVED], poison=[POISON]), fail, 1.0)
        # Another second would be too long.
        assert time.pauses == [0.5]
        assert counts == {"messages": 1, "handed_back": 1, "poison": 1}
        assert (dead_letters, handed_back) == ([POISON], [RECEIVED])

    async def test_a_batch_that_cannot_be_handed_back_is_left_to_the_broker(
        self, dead_letters: list[Poison], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(batch: Batch) -> Mapping[str, int]:
            raise LockTimeout("held")

        async def refuse(received: Sequence[Received]) -> None:
            raise BrokerUnavailable("down")

        monkeypatch.setattr(broker, "hand_back", refuse)
        with pytest.raises(BrokerUnavailable):
            await run_batch(Batch(events=[RECEIVED]), fail, 0.1)


class TestLogResults:
    @pytest.mark.parametrize(("results", "lines"), [(0, [0]), (1, [1]), (LOGGED_MAX + 1, [LOGGED_MAX, 1])])
    def test_lines_are_bounded_and_each_has_the_context(
        self, results: int, lines: list[int], caplog: pytest.LogCaptureFixture
    ) -> None:
        log_results("did it", "payments", [{"number": number} for number in range(results)], messages=7)
        logged = [vars(record) for record in caplog.records if record.message == "did it"]
        assert [len(line["payments"]) for line in logged] == lines
        assert {line["messages"] for line in logged} == {7}
