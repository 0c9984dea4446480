"""Check what a gateway has recorded against our operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from paybridge.core.findings import Finding
from paybridge.database.database import Database
from paybridge.payments.domain.operation import DEFAULT_GATEWAY
from paybridge.payments.store import verifying
from paybridge.payments.store.verifying import SucceededOperation

PAGE = 1000
_NO_ID = UUID(int=0)


class CarriedOut(NamedTuple):
    """What a gateway has recorded as carried out."""

    operation_id: UUID
    kind: str
    amount_minor: int


def verify_gateway(
    database: Database, read_record: Callable[[], Iterable[CarriedOut]], gateway: str = DEFAULT_GATEWAY
) -> Finding:
    """Check that the gateway did nothing twice and nothing that we do not know, and all that we believe it did.

    `read_record` returns the whole record of the gateway. Raises DatabaseUnavailable.
    """
    # Ours come first: the gateway has done by then what they say.
    ours = [*_succeeded(database, gateway)]
    known: dict[UUID, CarriedOut] = {}
    for each in read_record():
        if each.operation_id in known:
            return Finding(False, len(known), f"the gateway carried out {each.kind} {each.operation_id} twice")
        known[each.operation_id] = each
    strange = _unknown(database, [*known])
    if strange is not None:
        each = known[strange]
        return Finding(False, len(known), f"the gateway has {each.kind} {strange}, which is no operation of ours")
    for number, operation in enumerate(ours, 1):
        fault = _fault(operation, known.get(operation.id))
        if fault:
            return Finding(False, number, f"{operation.kind} {operation.id} {fault}")
    return Finding(True, len(known))


def _unknown(database: Database, ids: Sequence[UUID]) -> UUID | None:
    for start in range(0, len(ids), PAGE):
        part = ids[start : start + PAGE]
        missing = set(part) - verifying.find_known(database, part)
        if missing:
            return min(missing)
    return None


def _succeeded(database: Database, gateway: str) -> Iterator[SucceededOperation]:
    after = _NO_ID
    while page := verifying.read_succeeded(database, gateway, after, PAGE):
        yield from page
        after = page[-1].id


def _fault(operation: SucceededOperation, recorded: CarriedOut | None) -> str | None:
    if recorded is None:
        return "is not in the gateway's record"
    if recorded.kind != operation.kind:
        return f"is a {recorded.kind} at the gateway"
    # A part of a charge is recorded with what was approved.
    if operation.status != "partial" and recorded.amount_minor != operation.amount_minor:
        return f"is about {operation.amount_minor} here and {recorded.amount_minor} at the gateway"
    return None
