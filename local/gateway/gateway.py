"""The gateway itself, without HTTP: idempotent operations over the log."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from local.gateway.behaviour import Behaviour, Fault, Verdict, judge, judge_later
from local.gateway.books import (
    as_of,
    epoch,
    is_reversed,
    refundable_minor,
    standing,
    state_of,
    target_of,
    was_charged,
    written,
)
from local.gateway.deadlines import Deadlines
from local.gateway.log import OperationLog, Record
from local.gateway.orders import read_order

# The fields of a record that a repeated idempotency key must repeat as well.
_PARAMETERS = ("kind", "reference", "currency", "payment_method")
_ID_PREFIXES = {
    "charge": "ch",
    "authorization": "au",
    "capture": "ca",
    "void": "vo",
    "refund": "re",
    "refund_reversal": "rr",
}

Notify = Callable[[str, Record], None]


class KeyReused(Exception):
    """The idempotency key was used before with other parameters."""


class Conflict(Exception):
    """The gateway refuses the operation for what happened before; `code` says what."""

    def __init__(self, code: str, status: int = 409) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class Unanswered(Exception):
    """The client waits forever. What had to be done is done."""


class Unavailable(Exception):
    """The gateway answers with an error. Unless a fault says otherwise it does nothing."""

    def __init__(self, status: int) -> None:
        super().__init__(f"simulated error {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A record of the log, and whether it existed before this request."""

    record: Record
    replayed: bool


class Gateway:
    """A simulated bank: decide, wait, record, and answer the same key with the same record.

    `notify` is called with the type of a notice and a record for everything that the gateway decides later.
    """

    def __init__(
        self,
        log: OperationLog,
        behaviour: Behaviour,
        notify: Notify | None = None,
        time_now: Callable[[], float] = time.time,
    ) -> None:
        self.log = log
        self._behaviour = behaviour
        self._time_now = time_now
        self._notify = notify or (lambda _type, _record: None)
        self._in_flight: dict[str, tuple[Record, asyncio.Future[Record]]] = {}
        self._flaky_tries: dict[str, int] = {}
        self._released = asyncio.Event()
        self._release_unless_holding()
        self._deadlines = Deadlines(self.now, self._decide_due)
        for record in log.all():
            self._remember_deadlines(record, after=self.now())

    @property
    def behaviour(self) -> Behaviour:
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._release_unless_holding()
        self._deadlines.settle()

    def now(self) -> float:
        """Return the gateway's time, in seconds since 1970."""
        return self._time_now() + self._behaviour.ahead_seconds

    def settle(self) -> float | None:
        """Decide what is due, and return the time of what is due next, in seconds since 1970; None if nothing is."""
        self._deadlines.settle()
        next_at = self._deadlines.next_at()
        return None if next_at is None else next_at - self._behaviour.ahead_seconds

    async def run(self) -> None:
        """Decide what is due, for ever."""
        await self._deadlines.run()

    async def operate(self, kind: str, idempotency_key: str, body: Any) -> Answer:
        """Do the operation once per key.

        Raises BadRequest, KeyReused, Conflict, Unavailable or Unanswered.
        """
        order = read_order(kind, idempotency_key, body)
        act = self._take_now if kind in ("charge", "authorization") else self._follow_now
        return await self._once(order, act)

    def _release_unless_holding(self) -> None:
        if self._behaviour.holding:
            self._released.clear()
        else:
            self._released.set()

    async def _once(self, order: Record, act: Callable[[Record], Awaitable[Record]]) -> Answer:
        key = order["idempotency_key"]
        if (earlier := self.log.of_key(key)) is not None and not self._is_forgotten(earlier):
            _require_same_parameters(earlier, order)
            return Answer(as_of(earlier, self.now()), replayed=True)
        if key in self._in_flight:
            started, answer = self._in_flight[key]
            _require_same_parameters(started, order)
            if self._behaviour.busy_status:
                raise Conflict("request_in_progress", self._behaviour.busy_status)
            return Answer(await asyncio.shield(answer), replayed=True)
        return Answer(await self._first(key, order, act), replayed=False)

    def _is_forgotten(self, earlier: Record) -> bool:
        return epoch(earlier["created_at"]) + self._behaviour.key_seconds <= self.now()

    async def _first(self, key: str, order: Record, act: Callable[[Record], Awaitable[Record]]) -> Record:
        answer: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = (order, answer)
        try:
            record = await (self._struck(order, act) if self._behaviour.faults else act(order))
        except (Conflict, Unavailable, Unanswered, OSError) as error:
            answer.set_exception(error)
            answer.exception()  # Marks it as retrieved: usually no other request waits for it.
            raise
        else:
            answer.set_result(record)
            return record
        finally:
            del self._in_flight[key]
            answer.cancel()

    async def _struck(self, order: Record, act: Callable[[Record], Awaitable[Record]]) -> Record:
        """Do the operation as the next fault lets it happen."""
        fault = self._behaviour.faults.pop(0)
        if fault is Fault.LOST_REQUEST:
            raise Unanswered
        if fault is Fault.ERROR:
            raise Unavailable(500)
        if fault is Fault.RATE_LIMITED:
            raise Unavailable(429)
        if fault is Fault.HELD:
            await self._released.wait()
        record = await act(order)
        if fault is Fault.LOST_ANSWER:
            raise Unanswered
        if fault is Fault.ERROR_DONE:
            raise Unavailable(500)
        return record

    async def _take_now(self, order: Record) -> Record:
        """Charge or authorize."""
        verdict = self._judge(order["payment_method"], order["reference"])
        await _obey(verdict)
        # The benchmark compares the duration of a batch of charges with this.
        order = {**order, "latency_ms": round(verdict.latency_seconds * 1000)}
        record = self._take(order, verdict) if verdict.is_done else order
        if not verdict.answers:
            raise Unanswered
        return record

    def _take(self, order: Record, verdict: Verdict) -> Record:
        now = self.now()
        return self._record(self._approved(order, verdict, now), verdict.failure_code, now)

    def _approved(self, order: Record, verdict: Verdict, now: float) -> Record:
        """Return the order as it is recorded: in part, still to be decided, or good until it expires."""
        if verdict.approves != 1:
            asked_minor = order["amount_minor"]
            order = {**order, "amount_minor": max(int(asked_minor * verdict.approves), 1), "asked_minor": asked_minor}
        if verdict.pends:
            order = {**order, "decided_at": now + self._behaviour.pending_seconds}
        if order["kind"] == "authorization" and verdict.failure_code is None:
            good_seconds = verdict.good_seconds
            if good_seconds is None:
                good_seconds = self._behaviour.authorization_seconds
            order = {**order, "expires_at": written(now + good_seconds)}
        return order

    async def _follow_now(self, order: Record) -> Record:
        """Capture, void or refund."""
        target = target_of(order, self.of_reference(order["reference"]))
        method = target["payment_method"] if target else "tok_success"
        verdict = judge_later(self._behaviour, order["kind"], method)
        await _obey(verdict)
        # From here to the record there is no await. So of two operations that exclude each other one is the first.
        record = self._follow(order, verdict) if verdict.is_done else order
        if not verdict.answers:
            raise Unanswered
        return record

    def _follow(self, order: Record, verdict: Verdict) -> Record:
        records = self.of_reference(order["reference"])
        target = target_of(order, records)
        if target is None:
            missing = "charge_not_found" if order["kind"] == "refund" else "authorization_not_found"
            return self._record(order, missing)
        if order["currency"] not in (None, target["currency"]):
            return self._record(order, "currency_mismatch")
        order = {**order, "currency": target["currency"], "target_id": target["id"]}
        if order["kind"] == "refund":
            return self._refund(order, target, records, verdict)
        return self._end(order, target, records, verdict)

    def _refund(self, order: Record, target: Record, records: list[Record], verdict: Verdict) -> Record:
        """Refund at most what was charged or captured and is not refunded yet."""
        if target["status"] == "pending" or not was_charged(target, records):
            return self._record(order, "charge_not_found")
        left_minor = refundable_minor(target, records)
        if left_minor == 0:
            raise Conflict("already_refunded")
        if order["amount_minor"] > left_minor:
            return self._record(order, "refund_exceeds_charge")
        now = self.now()
        if verdict.is_reversed:
            order = {**order, "reversed_at": now + self._behaviour.reversal_seconds}
        return self._record(order, verdict.failure_code, now)

    def _end(self, order: Record, target: Record, records: list[Record], verdict: Verdict) -> Record:
        """Capture or void the authorization, which happens to it once."""
        kind, state = order["kind"], state_of(target, records, self.now())
        if state == "pending":
            raise Conflict("authorization_in_progress")
        if (kind, state) == ("capture", "captured"):
            raise Conflict("already_captured")
        if kind == "void" and state in ("voided", "expired"):
            raise Conflict(f"already_{state}")
        if state != "open":
            return self._record(order, f"authorization_{state}")
        if kind == "void":
            return self._record({**order, "amount_minor": target["amount_minor"]}, verdict.failure_code)
        released_minor = target["amount_minor"] - order["amount_minor"]
        if released_minor < 0:
            return self._record(order, "capture_exceeds_authorization")
        return self._record({**order, "released_minor": released_minor}, verdict.failure_code)

    def of_reference(self, reference: str) -> list[Record]:
        """Return every record of the reference, as it stands now."""
        self._deadlines.settle()
        return standing(self.log.of_reference(reference), self.now())

    def of_day(self, day: str) -> list[Record]:
        """Return every record created on that UTC day, written YYYY-MM-DD, as it was written."""
        self._deadlines.settle()
        return self.log.of_day(day)

    def as_it_stands(self, record: Record) -> Record:
        """Return the record with the status that it has now."""
        return as_of(record, self.now())

    def _judge(self, payment_method: str | None, reference: str) -> Verdict:
        tries_before = 0
        if payment_method == "tok_flaky":
            tries_before = self._flaky_tries.get(reference, 0)
            self._flaky_tries[reference] = tries_before + 1
        return judge(self._behaviour, payment_method, reference, tries_before)

    def _record(self, order: Record, failure_code: str | None, now: float | None = None) -> Record:
        """Record the order as created at `now`: the time that its deadlines count from, if it has any."""
        if failure_code is None and self._behaviour.pending_declines and "decided_at" in order:
            failure_code = "card_declined"
        now = self.now() if now is None else now
        record = {
            "id": f"{_ID_PREFIXES[order['kind']]}_{os.urandom(16).hex()}",
            **order,
            "status": "succeeded" if failure_code is None else "declined",
            "failure_code": failure_code,
            "created_at": written(now),
        }
        self.log.append(record)
        self._remember_deadlines(record, after=now)
        return as_of(record, now)

    # --- what the gateway decides later

    def _remember_deadlines(self, record: Record, after: float) -> None:
        """Remember when more happens to what is recorded.

        Notices of times up to `after` were sent before this process began. A reversal is never left out.
        """
        if record.get("decided_at", 0) > after:
            self._deadlines.add(record["decided_at"], "decided", record)
        if "expires_at" in record and (expires_at := epoch(record["expires_at"])) > after:
            self._deadlines.add(expires_at, "expired", record)
        if "reversed_at" in record:
            self._deadlines.add(record["reversed_at"], "reversed", record)

    def _decide_due(self, what: str, record: Record) -> None:
        match what:
            case "decided":
                self._notify(f"{record['kind']}.{record['status']}", record)
            case "expired":
                records = standing(self.log.of_reference(record["reference"]), self.now())
                if state_of(record, records, self.now()) == "expired":
                    self._notify("authorization.expired", record)
            case _:
                self._take_back(record)

    def _take_back(self, refund: Record) -> None:
        if refund["status"] != "succeeded" or is_reversed(refund, self.log.of_reference(refund["reference"])):
            return
        names = ("reference", "operation_id", "amount_minor", "currency", "target_id")
        order = {name: refund[name] for name in names}
        order |= {"kind": "refund_reversal", "idempotency_key": f"{refund['id']}:reversal", "refund_id": refund["id"]}
        self._notify("refund.reversed", self._record(order, None))


async def _obey(verdict: Verdict) -> None:
    """Take the time that the verdict says. Raises Unavailable if it is an error."""
    if verdict.latency_seconds:
        await asyncio.sleep(verdict.latency_seconds)
    if verdict.error_status is not None:
        raise Unavailable(verdict.error_status)


def _require_same_parameters(earlier: Record, order: Record) -> None:
    is_first = order["kind"] in ("charge", "authorization")
    compared = _PARAMETERS if is_first else ("kind", "reference")
    if any(earlier.get(name) != order.get(name) for name in compared):
        raise KeyReused
    # A void releases the whole, whatever amount it names.
    asked_minor = earlier.get("asked_minor", earlier["amount_minor"])
    if order["kind"] != "void" and asked_minor != order["amount_minor"]:
        raise KeyReused
