"""The gateway itself, without HTTP: idempotent charges and refunds over the charge log."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.gateway.behaviour import Behaviour, Verdict, judge
from local.gateway.log import ChargeLog, Record

# The fields of a record that a repeated idempotency key must repeat as well.
_PARAMETERS = ("kind", "reference", "amount_minor", "currency", "payment_method")

AMOUNT_MINOR_MAX = 2**63 - 1
TEXT_LENGTH_MAX = 255


class BadRequest(Exception):
    """The gateway does not understand the request."""


class KeyReused(Exception):
    """The idempotency key was used before with other parameters."""


class Unanswered(Exception):
    """The client waits forever. What had to be charged is charged."""


class Unavailable(Exception):
    """The gateway answers with an error and does nothing."""

    def __init__(self, status: int) -> None:
        super().__init__(f"simulated error {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A record of the log, and whether it existed before this request."""

    record: Record
    replayed: bool


class Gateway:
    """A simulated bank: decide, wait, record, and answer the same key with the same record."""

    def __init__(self, log: ChargeLog, behaviour: Behaviour) -> None:
        self.log = log
        self.behaviour = behaviour
        self._in_flight: dict[str, tuple[Record, asyncio.Future[Record]]] = {}
        self._flaky_tries: dict[str, int] = {}

    async def charge(self, idempotency_key: str, body: Any) -> Answer:
        """Charge once per key. Raises BadRequest, KeyReused, Unavailable or Unanswered."""
        wanted = _charge_of(idempotency_key, body)
        return await self._once(wanted, self._charge_now)

    async def refund(self, idempotency_key: str, body: Any) -> Answer:
        """Refund at most what was charged, and decline a refund beyond that. Raises like `charge`."""
        wanted = _refund_of(idempotency_key, body)
        return await self._once(wanted, self._refund_now)

    async def _once(self, wanted: Record, act: Callable[[Record], Awaitable[Record]]) -> Answer:
        key = wanted["idempotency_key"]
        if (earlier := self.log.of_key(key)) is not None:
            _require_same_parameters(earlier, wanted)
            return Answer(as_of_now(earlier), replayed=True)
        if key in self._in_flight:
            started, answer = self._in_flight[key]
            _require_same_parameters(started, wanted)
            return Answer(await asyncio.shield(answer), replayed=True)
        return Answer(await self._first(key, wanted, act), replayed=False)

    async def _first(self, key: str, wanted: Record, act: Callable[[Record], Awaitable[Record]]) -> Record:
        answer: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = (wanted, answer)
        try:
            record = await act(wanted)
        except (Unavailable, Unanswered, OSError) as error:
            answer.set_exception(error)
            answer.exception()  # Marks it as retrieved: usually no other request waits for it.
            raise
        else:
            answer.set_result(record)
            return record
        finally:
            del self._in_flight[key]
            answer.cancel()

    async def _charge_now(self, wanted: Record) -> Record:
        verdict = self._judge(wanted["payment_method"], wanted["reference"])
        if verdict.latency_seconds:
            await asyncio.sleep(verdict.latency_seconds)
        if verdict.error_status is not None:
            raise Unavailable(verdict.error_status)
        # The benchmark compares the duration of a batch of charges with this.
        wanted = {**wanted, "latency_ms": round(verdict.latency_seconds * 1000)}
        record = self._record(self._approved(wanted, verdict), verdict.failure_code) if verdict.charges else wanted
        if not verdict.answers:
            raise Unanswered
        return record

    def _approved(self, wanted: Record, verdict: Verdict) -> Record:
        """Return the charge as it is recorded: in part, or still to be decided."""
        if verdict.approves != 1:
            asked_minor = wanted["amount_minor"]
            wanted = {
                **wanted, "amount_minor": max(int(asked_minor * verdict.approves), 1), "asked_minor": asked_minor
            }  # fmt: skip
        if verdict.pends:
            wanted = {**wanted, "decided_at": time.time() + self.behaviour.pending_seconds}
        return wanted

    def of_reference(self, reference: str) -> list[Record]:
        """Return every record of the reference, as it stands now."""
        return [as_of_now(record) for record in self.log.of_reference(reference)]

    def of_day(self, day: str) -> list[Record]:
        """Return every record created on that UTC day, written YYYY-MM-DD, as it stands now."""
        return [as_of_now(record) for record in self.log.of_day(day)]

    async def _refund_now(self, wanted: Record) -> Record:
        records = self.of_reference(wanted["reference"])
        charges = [record for record in records if record["kind"] == "charge" and record["status"] == "succeeded"]
        if not charges:
            return self._record(wanted, "charge_not_found")
        refunded = sum(r["amount_minor"] for r in records if r["kind"] == "refund" and r["status"] == "succeeded")
        left = sum(charge["amount_minor"] for charge in charges) - refunded
        wanted = {**wanted, "currency": charges[0]["currency"]}
        return self._record(wanted, "refund_exceeds_charge" if wanted["amount_minor"] > left else None)

    def _judge(self, payment_method: str | None, reference: str) -> Verdict:
        tries_before = 0
        if payment_method == "tok_flaky":
            tries_before = self._flaky_tries.get(reference, 0)
            self._flaky_tries[reference] = tries_before + 1
        return judge(self.behaviour, payment_method, reference, tries_before)

    def _record(self, wanted: Record, failure_code: str | None) -> Record:
        record = {
            "id": f"{wanted['kind'][:2]}_{uuid.uuid4().hex}",
            **wanted,
            "status": "succeeded" if failure_code is None else "declined",
            "failure_code": failure_code,
            "created_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        self.log.append(record)
        return as_of_now(record)


def as_of_now(record: Record) -> Record:
    """Return the record with the status that it has now: a charge is pending until the gateway decides on it."""
    return {**record, "status": "pending"} if record.get("decided_at", 0) > time.time() else record


def _require_same_parameters(earlier: Record, wanted: Record) -> None:
    compared = _PARAMETERS if wanted["kind"] == "charge" else ("kind", "reference", "amount_minor")
    asked = {**earlier, "amount_minor": earlier.get("asked_minor", earlier["amount_minor"])}
    if any(asked[name] != wanted[name] for name in compared):
        raise KeyReused


def _charge_of(idempotency_key: str, body: Any) -> Record:
    _require_object(body, {"reference", "amount_minor", "currency", "payment_method"})
    currency, payment_method = body.get("currency"), body.get("payment_method")
    if not isinstance(currency, str) or not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise BadRequest("currency must be three capital letters")
    if payment_method is not None:
        _require_text("payment_method", payment_method)
    return _wanted("charge", idempotency_key, body, currency, payment_method)


def _refund_of(idempotency_key: str, body: Any) -> Record:
    _require_object(body, {"reference", "amount_minor", "currency"})
    return _wanted("refund", idempotency_key, body, None, None)


def _wanted(kind: str, key: str, body: Any, currency: str | None, payment_method: str | None) -> Record:
    amount_minor = body.get("amount_minor")
    if type(amount_minor) is not int or not 0 < amount_minor <= AMOUNT_MINOR_MAX:
        raise BadRequest("amount_minor must be a positive whole number")
    return {
        "reference": _require_text("reference", body.get("reference")),
        "kind": kind,
        "amount_minor": amount_minor,
        "currency": currency,
        "payment_method": payment_method,
        "idempotency_key": _require_text("Idempotency-Key", key),
    }


def _require_object(body: Any, known: set[str]) -> None:
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    if unknown := set(body) - known:
        raise BadRequest(f"unknown field {min(unknown)!r}")


def _require_text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH_MAX:
        raise BadRequest(f"{name} must be a text of 1 to {TEXT_LENGTH_MAX} characters")
    return value
