"""Our operations, under the ids that the gateway's statement has for them.

A reversal is on the statement under the id of its refund, and a refund that we recorded late under that of the one that
had been given up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.recorded import OurOperation, OurStatus
from paybridge.payments.store import recorded_operations
from paybridge.reconciliation.store import statements
from paybridge.reconciliation.store.statements import StoredLine


def find_ours(transaction: Transaction, by_key: Mapping[UUID, Sequence[StoredLine]]) -> dict[UUID, list[OurOperation]]:
    """Return our operations by the ids that the lines name."""
    if not by_key:
        return {}
    found: defaultdict[UUID, list[OurOperation]] = defaultdict(list)
    refunds = set()
    for each in recorded_operations.find(transaction, by_key):
        found[each.id].append(each)
        # A refund that failed may have been recorded under another id, and one that was reversed has a reversal.
        if each.kind is Kind.REFUND and (each.status is OurStatus.FAILED or each.status_text == "reversed"):
            refunds.add(each.payment_id)
    if refunds:
        line_keys = {each.line.line.id: key for key, group in by_key.items() for each in group}
        for each in _under_their_keys(recorded_operations.find_refunds(transaction, refunds), line_keys):
            if each.key != each.id and each.key in by_key:
                found[each.key].append(each)
    return dict(found)


def without_lines(
    transaction: Transaction, gateway: str, statement_id: UUID, ids: Sequence[UUID]
) -> list[OurOperation]:
    """Return those of the operations that no line names, on this or another statement of the gateway."""
    unnamed = statements.without_lines(transaction, statement_id, ids)
    if not unnamed:
        return []
    wanted = recorded_operations.find(transaction, unnamed)
    others = {each.payment_id for each in wanted if _is_under_another_id(each)}
    if others:
        refunds = recorded_operations.find_refunds(transaction, others)
        names = sorted({each.gateway_id for each in refunds if each.gateway_id is not None})
        line_keys = {each.line.line.id: each.key for each in statements.read_ids(transaction, statement_id, names)}
        keyed = {each.id: each for each in _under_their_keys(refunds, line_keys)}
        wanted = [keyed.get(each.id, each) for each in wanted]
    known = statements.known_keys(transaction, gateway, {each.key for each in wanted})
    return [each for each in wanted if each.key not in known]


def _is_under_another_id(operation: OurOperation) -> bool:
    return operation.kind is Kind.REFUND_REVERSAL or (operation.kind is Kind.REFUND and operation.is_the_gateways_own)


def _under_their_keys(refunds: Iterable[OurOperation], line_keys: Mapping[str, UUID]) -> list[OurOperation]:
    """Return refunds and reversals under the ids of the statement. `line_keys` are the lines by the gateway's id."""
    all_ = list(refunds)
    keys = {
        each.gateway_id: line_keys.get(each.gateway_id, each.id) if each.is_the_gateways_own else each.id
        for each in all_
        if each.kind is Kind.REFUND and each.gateway_id is not None
    }
    return [
        replace(each, key=keys.get(each.gateway_id, each.id))
        if each.gateway_id is not None and _is_under_another_id(each)
        else each
        for each in all_
    ]
