"""What becomes of the events of a batch, by what the bus answers to each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import orjson
import pytest

from local.testkit.event_bus import body_of, succeeded
from paybridge.bridge import send as module
from paybridge.bridge.domain.answers import OUT_OF_TIME, Answer, NotTaken, Taken
from paybridge.bridge.domain.entries import CALL_BYTES_MAX, Entry
from paybridge.bridge.ports import BridgeServices
from paybridge.bridge.send import CALLS_MAX, Bridged, Report, note, send
from paybridge.core.clock import SystemClock
from paybridge.core.events import parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

COMMANDS = Statement("""
    SELECT body, extract(epoch FROM available_at - now())::float8, payment_id::text, exchange, routing_key
    FROM outbox WHERE type = 'command.bridge_event' AND merchant_id = :id::uuid ORDER BY id
""")
SENT = Statement("SELECT sent_at FROM bridge.sent_events WHERE event_id = :id::uuid")


@dataclass
class Bus:
    """A bus that answers as the test says, to the nth time that it is given an entry."""

    answer: Callable[[Entry, int], Answer | Exception] = lambda _entry, _time: Taken()
    given: Counter[str] = field(default_factory=Counter)
    calls: list[int] = field(default_factory=list)
    starts_until: set[float] = field(default_factory=set)
    at_once: int = 0
    at_once_max: int = 0
    barrier: threading.Barrier | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, entries: Sequence[Entry], start_until: float) -> list[Answer]:
        """See EventBus."""
        with self._lock:
            self.calls.append(len(entries))
            self.starts_until.add(start_until)
            self.given.update(entry.detail for entry in entries)
            times = [self.given[entry.detail] for entry in entries]
            self.at_once += 1
            self.at_once_max = max(self.at_once_max, self.at_once)
        if self.barrier:
            self.barrier.wait(10)
        with self._lock:
            self.at_once -= 1
        answers = []
        for entry, number in zip(entries, times, strict=True):
            answer = self.answer(entry, number)
            if isinstance(answer, Exception):
                raise answer
            answers.append(answer)
        return answers


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_SECONDS", (0.0, 0.0))


def services(database: Database, bus: Bus) -> BridgeServices:
    return BridgeServices(
        database=database, clock=SystemClock(), ids=Uuid7Ids(), bus=bus, retry_delays_seconds=(10.0, 20.0)
    )


def batch_of(count: int) -> list[Bridged]:
    return [Bridged(event, body_of(event)) for event in (succeeded() for _ in range(count))]


class TestSend:
    async def test_a_batch_goes_in_tens_and_several_at_once(self, database: Database) -> None:
        bus, batch = Bus(barrier=threading.Barrier(CALLS_MAX)), batch_of(10 * CALLS_MAX * 2)
        report = await send(services(database, bus), batch)
        assert report == Report(sent=set(range(len(batch))))
        assert bus.calls == [10] * CALLS_MAX * 2
        assert bus.at_once_max == CALLS_MAX
        assert bus.given == Counter(one.body for one in batch)

    async def test_failed_entries_alone_are_sent_again(self, database: Database) -> None:
        batch = batch_of(25)
        failing = {batch[3].body, batch[17].body}
        bus = Bus(lambda entry, time: NotTaken("Throttled") if entry.detail in failing and time == 1 else Taken())
        assert await send(services(database, bus), batch) == Report(sent=set(range(25)))
        assert {body for body, times in bus.given.items() if times > 1} == failing
        assert sorted(bus.calls) == [2, 5, 10, 10]
        # The second round has no more time than the first.
        assert len(bus.starts_until) == 1

    async def test_what_fails_each_time_waits_and_what_is_refused_does_not(self, database: Database) -> None:
        batch = batch_of(4)
        answers = {batch[1].body: NotTaken("InternalFailure"), batch[2].body: NotTaken("InvalidArgument", True)}
        bus = Bus(lambda entry, _: answers.get(entry.detail, Taken()))
        report = await send(services(database, bus), batch)
        assert report.sent == {0, 3}
        assert report.retried == {1: "InternalFailure"}
        assert report.refused == {2: "EventBridge refuses it: InvalidArgument"}
        assert bus.given[batch[1].body] == 3
        assert bus.given[batch[2].body] == 1

    async def test_an_outage_ends_the_batch_after_one_round(self, database: Database) -> None:
        bus, batch = Bus(lambda *_: NotTaken("EndpointConnectionError")), batch_of(30)
        report = await send(services(database, bus), batch)
        assert len(report.retried) == 30
        assert set(bus.given.values()) == {1}

    async def test_no_call_starts_too_late(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "START_SECONDS", -1.0)
        bus, batch = Bus(), batch_of(3)
        report = await send(services(database, bus), batch)
        assert report.retried == dict.fromkeys(range(3), OUT_OF_TIME)
        assert not bus.calls

    async def test_an_event_that_is_too_large_is_never_sent(self, database: Database) -> None:
        large = succeeded(data={"metadata": {"text": "x" * CALL_BYTES_MAX}})
        bus, batch = Bus(), [*batch_of(1), Bridged(large, body_of(large)), *batch_of(1)]
        report = await send(services(database, bus), batch)
        assert report.sent == {0, 2}
        assert "larger" in report.refused[1]
        assert len(bus.given) == 2

    async def test_the_last_attempt_is_refused(self, database: Database) -> None:
        (one,) = batch_of(1)
        bus = Bus(lambda *_: NotTaken("InternalFailure"))
        report = await send(services(database, bus), [Bridged(one.event, one.body, 3)])
        assert not report.retried
        assert report.refused == {0: "EventBridge took it in none of 3 attempts: InternalFailure"}

    async def test_an_error_of_ours_is_that_of_its_call(self, database: Database) -> None:
        batch = batch_of(11)
        bus = Bus(lambda entry, _: ZeroDivisionError() if entry.detail == batch[10].body else Taken())
        report = await send(services(database, bus), batch)
        assert report.sent == set(range(10))
        assert report.retried == {10: "ZeroDivisionError"}


class TestNote:
    def test_a_command_carries_the_event_unchanged(self, database: Database) -> None:
        event = succeeded()
        body = body_of(event).replace('"sequence"', ' "sequence"')
        note(services(database, Bus()), [], [Bridged(event, body, 2)], Report(retried={0: "Throttled"}))
        ((text, delay, payment_id, exchange, key),) = database.run(COMMANDS, id=event.merchant_id)
        command = parse_envelope(orjson.loads(text))
        assert command.data == {"attempt": 3, "event": body}
        assert command.subject_id == event.payment_id
        # The search for stalled payments would take it for a message that goes on with the payment.
        assert payment_id is None
        assert (exchange, key) == ("payments", "bridge")
        assert delay == pytest.approx(20, abs=5)

    def test_a_batch_that_arrived_is_recorded_once_and_writes_no_command(self, database: Database) -> None:
        events = [succeeded(), succeeded()]
        batch = [Bridged(event, body_of(event)) for event in events]
        for count in (1, 2, 2):
            note(services(database, Bus()), {event.id for event in events[:count]}, batch, Report())
            assert [bool(database.run(SENT, id=event.id)) for event in events] == [True, count == 2]
        assert not database.run(COMMANDS, id=events[0].merchant_id)
