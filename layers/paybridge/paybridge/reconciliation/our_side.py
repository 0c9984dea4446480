"""Our operations, under the ids that the gateway's statement has for them.

A reversal is on the statement under the id of its refund, and a refund that we recorded late under that of the one that
had been given up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.recorded import OurOperation, OurStatus
from paybridge.payments.store import recorded_operations
from paybridge.reconciliation.store import statements
from paybridge.reconciliation.store.statements import GatewayAction, StoredLine

# The gateway's clock may have had a day less when we made the operation.
_CLOCKS_DIFFER = timedelta(days=1)


@dataclass(slots=True)
class OurSide:
    """What we know under the id that lines name.

    `compared` are operations to compare with the lines. Those of `on_other_days` have their line on the statement of
    another day, and those of `elsewhere` were made at another gateway: an id that is equal there is no match. What was
    not found may be in the archive, with `archived_month`.
    """

    compared: list[OurOperation] = field(default_factory=list)
    on_other_days: list[OurOperation] = field(default_factory=list)
    elsewhere: list[OurOperation] = field(default_factory=list)
    archived_month: str | None = None


@dataclass(frozen=True, slots=True)
class StatementOfDay:
    """Which statement is compared; operations are looked for on others from `first_day` on, or from when they began."""

    id: UUID
    gateway: str
    first_day: date


def find_ours(
    transaction: Transaction, statement: StatementOfDay, by_key: Mapping[UUID, Sequence[StoredLine]]
) -> dict[UUID, OurSide]:
    """Return what we know of the operations that the lines name."""
    if not by_key:
        return {}
    found: defaultdict[UUID, OurSide] = defaultdict(OurSide)
    refunds = set()
    for each in recorded_operations.find(transaction, by_key):
        if each.gateway != statement.gateway:
            found[each.id].elsewhere.append(each)
            continue
        found[each.id].compared.append(each)
        # A refund that failed may have been recorded under another id, and one that was reversed has a reversal.
        if each.kind is Kind.REFUND and (each.status is OurStatus.FAILED or each.status_text == "reversed"):
            refunds.add(each.payment_id)
    if refunds:
        here = {each.line.line.id: key for key, group in by_key.items() for each in group}
        for each in _under_their_keys(transaction, statement, refunds, here):
            if each.key != each.id and each.key in by_key and each.gateway == statement.gateway:
                found[each.key].compared.append(each)
    _set_other_days_apart(transaction, statement, by_key, found)
    unknown = {key for key, group in by_key.items() if key not in found and group[0].line.line.operation_id is not None}
    return {**found, **_archived(transaction, unknown)}


def without_lines(transaction: Transaction, statement: StatementOfDay, ids: Sequence[UUID]) -> list[OurOperation]:
    """Return those of the operations that no line names, on this or another statement of the gateway."""
    unnamed = statements.without_lines(transaction, statement.id, ids)
    if not unnamed:
        return []
    wanted = recorded_operations.find(transaction, unnamed)
    others = {each.payment_id for each in wanted if _is_under_another_id(each)}
    if others:
        names = sorted({each.gateway_id for each in wanted if each.gateway_id is not None})
        here = {each.line.line.id: each.key for each in statements.read_ids(transaction, statement.id, names)}
        keyed = {each.id: each for each in _under_their_keys(transaction, statement, others, here)}
        wanted = [keyed.get(each.id, each) for each in wanted]
        # What a line of this statement names in some way has been compared with it.
        unnamed = statements.without_lines(transaction, statement.id, sorted({each.key for each in wanted}))
    known = _on_other_days(transaction, statement, wanted)
    return [each for each in wanted if each.key in set(unnamed) and _action(each) not in known]


def _archived(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, OurSide]:
    """Return what we know of those of the ids whose operations may be in the archive."""
    months = recorded_operations.find_archived(transaction, ids)
    return {id_: OurSide(archived_month=f"{month:%Y-%m}") for id_, month in months.items()}


def _set_other_days_apart(
    transaction: Transaction,
    statement: StatementOfDay,
    by_key: Mapping[UUID, Sequence[StoredLine]],
    found: Mapping[UUID, OurSide],
) -> None:
    """Move what has no line of its kind here, and one on another day, such as a refund that is reversed today."""
    here = {GatewayAction(key, _is_reversal(each.line.line.kind)) for key, group in by_key.items() for each in group}
    without = [each for side in found.values() for each in side.compared if _action(each) not in here]
    known = _on_other_days(transaction, statement, without)
    for side in found.values() if known else ():
        side.on_other_days = [each for each in side.compared if _action(each) in known]
        side.compared = [each for each in side.compared if _action(each) not in known]


def _on_other_days(
    transaction: Transaction, statement: StatementOfDay, operations: Iterable[OurOperation]
) -> set[GatewayAction]:
    since: dict[GatewayAction, date] = {}
    for each in operations:
        began = min(each.created_at.date() - _CLOCKS_DIFFER, statement.first_day)
        since[_action(each)] = min(began, since.get(_action(each), began))
    return statements.on_other_days(transaction, statement.gateway, statement.id, since)


def _action(operation: OurOperation) -> GatewayAction:
    return GatewayAction(operation.key, _is_reversal(operation.kind))


def _is_reversal(kind: Kind) -> bool:
    return kind is Kind.REFUND_REVERSAL


def _is_under_another_id(operation: OurOperation) -> bool:
    return operation.kind is Kind.REFUND_REVERSAL or (operation.kind is Kind.REFUND and operation.is_the_gateways_own)


def _under_their_keys(
    transaction: Transaction, statement: StatementOfDay, payment_ids: Iterable[UUID], here: Mapping[str, UUID]
) -> list[OurOperation]:
    """Return the refunds of these payments and their reversals, under the ids of the gateway's statements.

    `here` are the lines of the statement that is compared, by the gateway's id.
    """
    refunds = recorded_operations.find_refunds(transaction, payment_ids)
    late = {
        each.gateway_id: each.created_at.date() - _CLOCKS_DIFFER
        for each in refunds
        if each.kind is Kind.REFUND and each.is_the_gateways_own and each.gateway_id is not None
    }
    line_keys = {**here}
    if missing := late.keys() - here.keys():
        first_day = min(statement.first_day, *(late[name] for name in missing))
        line_keys |= statements.refunds_on_other_days(
            transaction, statement.gateway, statement.id, first_day, sorted(missing)
        )
    keys = {
        each.gateway_id: line_keys.get(each.gateway_id, each.id) if each.is_the_gateways_own else each.id
        for each in refunds
        if each.kind is Kind.REFUND and each.gateway_id is not None
    }
    return [
        replace(each, key=keys.get(each.gateway_id, each.id))
        if each.gateway_id is not None and _is_under_another_id(each)
        else each
        for each in refunds
    ]
