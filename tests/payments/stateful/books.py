"""What must hold after every step, whatever happened: in the database, in the events, and on the gateway's log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from paybridge.database.database import Statement
from paybridge.payments.domain.operation import FIRST_KINDS, UNSETTLED_STATUSES, Cause, Kind, OperationStatus
from paybridge.payments.domain.payment import TRANSITIONS, Status
from paybridge.payments.domain.refund import REFUND_STATUSES, REFUND_TRANSITIONS, RefundStatus
from tests.payments.stateful.gateway_model import GatewayModel, Move, State
from tests.payments.stateful.money_facts import Money, money_of
from tests.payments.stateful.world import World

Row = Mapping[str, Any]

_BOOKS = Statement("""
    SELECT
        (SELECT coalesce(json_agg(p ORDER BY p.id), '[]') FROM payments p),
        (SELECT coalesce(json_agg(o ORDER BY o.id), '[]') FROM operations o),
        (SELECT coalesce(json_agg(a ORDER BY a.operation_id, a.number), '[]') FROM operation_attempts a),
        (SELECT coalesce(json_agg(json_build_object('id', f.id, 'payment_id', f.payment_id, 'type', f.type,
            'subject_type', f.subject_type, 'subject_id', f.subject_id, 'sequence', f.sequence, 'body', f.body)
            ORDER BY f.sequence), '[]') FROM outbox f WHERE f.sequence IS NOT NULL),
        (SELECT coalesce(json_agg(json_build_object('payment_id', w.payment_id, 'body', w.body)), '[]')
         FROM outbox w WHERE w.type = 'command.deliver_webhook'),
        (SELECT coalesce(json_agg(c), '[]') FROM charges_to_return c),
        (SELECT coalesce(json_agg(l), '[]') FROM late_checks l)
""")

PAID = frozenset({Status.SUCCEEDED, Status.PARTIALLY_REFUNDED, Status.REFUNDED})
# Operations that merchants see: what they take is reserved in the payment.
SHOWN_CAUSES = frozenset({Cause.MERCHANT, Cause.GATEWAY})
UNDO_CAUSES = frozenset({Cause.PARTIAL_APPROVAL, Cause.CAPTURE_FAILED, Cause.CHARGED_LATE})
# The operation may have been given up: the gateway never said that it will not happen.
GIVEN_UP_CODES = frozenset({"gateway_timeout", "gateway_error", "gateway_rejected"})
PROVED = frozenset({OperationStatus.SUCCEEDED, OperationStatus.PARTIAL, OperationStatus.REVERSED})
_OPEN = frozenset(map(str, UNSETTLED_STATUSES))
_DECIDED = frozenset({OperationStatus.SUCCEEDED, OperationStatus.PARTIAL, OperationStatus.DECLINED})
_MONEY = ("authorized_minor", "capturing_minor", "captured_minor", "refunding_minor", "refunded_minor")


@dataclass(frozen=True, slots=True)
class Books:
    """All rows about payments at one moment."""

    payments: Sequence[Row]
    operations: Sequence[Row]
    attempts: Sequence[Row]
    facts: Sequence[Row]
    webhook_commands: Sequence[Row]
    to_return: Sequence[Row]
    late_checks: Sequence[Row]

    @classmethod
    def of(cls, world: World) -> Books:
        """Read the books."""
        return cls(*world.look(_BOOKS)[0])

    def payment(self, payment_id: UUID) -> Row:
        """Return the row of a payment."""
        return next(row for row in self.payments if row["id"] == str(payment_id))

    def operations_of(self, payment: Row) -> list[Row]:
        """Return the operations of a payment."""
        return [row for row in self.operations if row["payment_id"] == payment["id"]]

    def facts_about(self, payment: Row) -> list[Row]:
        """Return the events whose subject is the payment, by sequence."""
        return [row for row in self.facts if row["payment_id"] == payment["id"] and row["subject_type"] == "payment"]

    def money_of(self, payment: Row) -> Money:
        """Return what the events say about the payment's money."""
        return money_of(row for row in self.facts if row["payment_id"] == payment["id"])


def check(world: World, before: Books | None) -> Books:
    """Return the books after asserting all that must hold; `before` are those of the step before."""
    books, gateway = Books.of(world), world.gateway
    assert not gateway.violations, gateway.violations
    for payment in books.payments:
        _check_amounts(payment)
        _check_facts(payment, books)
        _check_progress(payment, books)
        _check_operations(payment, books.operations_of(payment))
        _check_gateway(payment, books, gateway)
        _check_money_facts(payment, books)
    for operation in books.operations:
        _check_attempts(operation, [row for row in books.attempts if row["operation_id"] == operation["id"]])
        _check_refund_facts(operation, books.facts)
    _check_moves(books, gateway)
    if before is not None:
        _check_growth(before, books)
    return books


def _check_amounts(payment: Row) -> None:
    amount, authorized, captured = payment["amount_minor"], payment["authorized_minor"], payment["captured_minor"]
    assert 0 <= captured <= amount
    assert captured + payment["capturing_minor"] <= (authorized if payment["capture"] == "manual" else amount)
    assert 0 <= payment["refunded_minor"] <= payment["refunded_minor"] + payment["refunding_minor"] <= captured
    assert (payment["status"] in PAID) == (captured > 0)


def _check_facts(payment: Row, books: Books) -> None:
    """Check that every change of state is exactly one event, legal, and the last one is the present state."""
    facts = books.facts_about(payment)
    assert [fact["sequence"] for fact in facts] == list(range(1, payment["last_sequence"] + 1)), "gaps in the sequence"
    assert payment["version"] >= payment["last_sequence"]
    assert facts[0]["type"] == "payment.created"
    views = [_data(fact) for fact in facts]
    assert views[0]["status"] == Status.PENDING
    for fact, earlier, later in zip(facts[1:], views, views[1:], strict=False):
        current, target = Status(earlier["status"]), Status(later["status"])
        is_repeated = current is target and earlier["amount_refunded"] != later["amount_refunded"]
        assert is_repeated or target in TRANSITIONS[current], f"{current} to {target}"
        assert fact["type"] == f"payment.{target}"
    last = views[-1]
    assert last["status"] == payment["status"], "a change of state without its event"
    assert last["failure_code"] == payment["failure_code"]
    for name, column in (("amount_captured", "captured_minor"), ("amount_refunded", "refunded_minor")):
        assert _minor(last[name]) == payment[column], name


def _check_money_facts(payment: Row, books: Books) -> None:
    """Check that the events alone say what the payment's row, its operations and the returned charges say."""
    money = books.money_of(payment)
    is_held = payment["status"] == Status.REQUIRES_CAPTURE
    assert money.held == (payment["authorized_minor"] if is_held else 0), "events and payment differ in what is held"
    assert money.captured == payment["captured_minor"], "events and payment differ in what was captured"
    assert money.refunded == payment["refunded_minor"], "events and payment differ in what was refunded"

    operations = books.operations_of(payment)
    if not any(row["kind"] == Kind.CHARGE for row in operations):
        assert money.taken == money.returned == 0, "a hold is no money"
        return
    undos = [row for row in operations if row["kind"] == Kind.REFUND and row["cause"] in UNDO_CAUSES]
    came_back = _sum(undos, Kind.REFUND, {OperationStatus.REVERSED})
    found = sum(row["amount_minor"] for row in books.to_return if row["payment_id"] == payment["id"])
    assert money.taken == found + came_back, "money that settles no payment was taken, and no event says so"
    assert money.returned == came_back + _sum(undos, Kind.REFUND, {OperationStatus.SUCCEEDED})


def _check_progress(payment: Row, books: Books) -> None:
    """Check that endpoints get each step of the payment's progress once, from when it is no longer pending."""
    facts = books.facts_about(payment)
    wanted = [fact["id"] for fact in facts if fact["type"] == "payment.processing"]
    if payment["status"] != Status.PENDING:
        wanted.append(facts[0]["id"])
    commands = [row for row in books.webhook_commands if row["payment_id"] == payment["id"]]
    assert sorted(_data(command)["event_id"] for command in commands) == sorted(wanted)


def _check_operations(payment: Row, operations: Sequence[Row]) -> None:
    """Check that the payment's columns say what its operations say, reservations included."""
    first = [row for row in operations if row["kind"] in FIRST_KINDS]
    shown = [row for row in operations if row["cause"] in SHOWN_CAUSES]
    status = payment["status"]
    if status == Status.PROCESSING:
        assert [row["status"] in _OPEN for row in first] == [True], "processing, and nothing is asked for"
    elif status in (Status.PENDING, Status.REVIEW):
        assert not operations, f"{status}, and an operation was begun"
    else:
        assert not any(row["status"] in _OPEN for row in first), f"{status}, and its first operation is open"

    authorized = _sum(first, Kind.AUTHORIZATION, {OperationStatus.SUCCEEDED})
    assert payment["authorized_minor"] == authorized
    done = {OperationStatus.SUCCEEDED}
    assert payment["captured_minor"] == _sum(shown, Kind.CHARGE, done) + _sum(shown, Kind.CAPTURE, done)
    assert payment["refunded_minor"] == _sum(shown, Kind.REFUND, done)
    # A reservation without an open operation keeps money for ever. An open one without a reservation takes it twice.
    assert payment["capturing_minor"] == _sum(shown, Kind.CAPTURE, _OPEN)
    assert payment["refunding_minor"] == _sum(shown, Kind.REFUND, _OPEN)
    ending = [
        row
        for row in operations
        if row["kind"] in (Kind.CAPTURE, Kind.VOID)
        and row["cause"] in (Cause.MERCHANT, Cause.EXPIRY)
        and row["status"] in _OPEN
    ]
    assert len(ending) <= 1, "two operations would end one hold"
    assert payment["pending_operation_id"] == (ending[0]["id"] if ending else None)
    wanted = {Kind.CAPTURE: "capture", Kind.VOID: "cancel"}[Kind(ending[0]["kind"])] if ending else None
    assert payment["pending_operation"] == wanted


def _check_attempts(operation: Row, attempts: Sequence[Row]) -> None:
    """Check that attempts are numbered without gaps, and that all before the newest have ended."""
    numbers = [row["number"] for row in attempts]
    newest = operation["number"]
    assert numbers in (list(range(1, newest + 1)), list(range(1, newest))), f"attempts {numbers} of {newest}"
    decided = {(row["status"], row["gateway_id"]) for row in attempts if row["status"] in _DECIDED}
    assert len(decided) <= 1, f"attempts decided one operation in two ways: {decided}"


def _check_refund_facts(operation: Row, facts: Sequence[Row]) -> None:
    """Check that a refund's events are numbered without gaps, and that other operations have none."""
    about = [row for row in facts if row["subject_type"] == "refund" and row["subject_id"] == operation["id"]]
    assert [row["sequence"] for row in about] == list(range(1, operation["last_sequence"] + 1))
    if operation["kind"] == Kind.REFUND and operation["cause"] in SHOWN_CAUSES:
        types = [row["type"] for row in about]
        ends = {"succeeded": ["refund.succeeded"], "declined": ["refund.failed"], "partial": ["refund.failed"]}
        ends["reversed"] = ["refund.succeeded", "refund.failed"]
        assert types == ["refund.created", *ends.get(operation["status"], [])]
    else:
        assert not about


def _check_gateway(payment: Row, books: Books, gateway: GatewayModel) -> None:
    """Check that the gateway took no more than was asked for, and that we say nothing that it has not done."""
    payment_id = UUID(payment["id"])
    assert gateway.taken(payment_id) <= payment["amount_minor"], "the customer paid more than was asked for"
    assert 0 <= gateway.given_back(payment_id) <= gateway.taken(payment_id), "the gateway gave back more than it took"
    assert payment["captured_minor"] <= gateway.taken(payment_id), "captured what the gateway never took"
    assert payment["refunded_minor"] <= gateway.moved(payment_id, "refund"), "refunded what the gateway never gave back"
    if payment_id in gateway.asked_too_much:
        given_up = [row for row in books.operations_of(payment) if row["failure_code"] in GIVEN_UP_CODES]
        assert given_up, "asked to refund more than was left"


def _check_moves(books: Books, gateway: GatewayModel) -> None:
    """Check that each operation moved money at most once, and as it says."""
    by_operation: dict[tuple[str, str], list[Move]] = defaultdict(list)
    for move in gateway.log:
        by_operation[str(move.operation_id), move.kind].append(move)
    operations = {row["id"]: row for row in books.operations}
    for (operation_id, kind), moves in by_operation.items():
        assert len(moves) == 1, f"{kind} {operation_id} moved money twice"
        operation = operations.get(operation_id)
        assert operation is not None, f"{kind} {operation_id} moved money and is not on record"
        assert operation["payment_id"] == str(moves[0].payment_id)
        assert operation["kind"] == ("refund" if kind == "refund_reversal" else kind)
    for operation in books.operations:
        _check_proof(operation, gateway)
    shown = [row["gateway_id"] for row in books.operations if row["kind"] == Kind.REFUND and row["gateway_id"]]
    assert len(shown) == len(set(shown)), "one refund of the gateway is on record twice"


def _check_proof(operation: Row, gateway: GatewayModel) -> None:
    """Check that the gateway has done what an operation says, for its amount."""
    if operation["status"] not in PROVED or operation["kind"] == Kind.REFUND_REVERSAL:
        return
    record = gateway.records[operation["gateway_id"]]
    assert record.asked.kind == operation["kind"]
    assert str(record.asked.payment_id) == operation["payment_id"]
    is_partial = operation["status"] == OperationStatus.PARTIAL
    assert record.amount_minor == operation["approved_minor" if is_partial else "amount_minor"]
    if operation["cause"] != Cause.GATEWAY:
        assert str(record.asked.operation_id) == operation["id"]
    if operation["status"] == OperationStatus.REVERSED:
        assert record.state is State.TAKEN_BACK
    else:
        assert record.state in (State.SUCCEEDED, State.TAKEN_BACK)


def _check_growth(before: Books, after: Books) -> None:
    """Check that facts and outcomes stay, and that versions and sequences only grow."""
    facts = {row["id"]: row for row in after.facts}
    for fact in before.facts:
        assert facts.get(fact["id"]) == fact, "an event was changed or deleted"
    payments = {row["id"]: row for row in after.payments}
    for earlier in before.payments:
        later = payments[earlier["id"]]
        assert later["version"] >= earlier["version"]
        assert later["last_sequence"] >= earlier["last_sequence"]
        changed = [name for name in ("status", *_MONEY, "pending_operation") if later[name] != earlier[name]]
        assert not changed or later["version"] > earlier["version"], f"{changed} changed, and the version did not"
    operations = {row["id"]: row for row in after.operations}
    for earlier in before.operations:
        later = operations[earlier["id"]]
        assert later["number"] >= earlier["number"]
        if later["kind"] == Kind.REFUND:
            statuses = [REFUND_STATUSES[OperationStatus(row["status"])] for row in (earlier, later)]
            assert _is_reachable(*statuses), statuses
        if earlier["status"] not in _OPEN and later["status"] != earlier["status"]:
            assert (earlier["status"], later["status"]) == ("succeeded", "reversed"), "an outcome was changed"
        for name in ("kind", "cause", "amount_minor", "payment_id", "gateway"):
            assert later[name] == earlier[name], name


def _is_reachable(current: RefundStatus, target: RefundStatus) -> bool:
    """Tell whether a refund may go from one status to another, by way of others too."""
    return current is target or any(_is_reachable(each, target) for each in REFUND_TRANSITIONS[current])


def check_quiet(world: World, books: Books, *, has_expired: bool) -> None:
    """Assert that nothing is left to do, and that gateway and payments agree to the minor unit.

    `has_expired`: no payment waits for its merchant any more.
    """
    waiting = {Status.REVIEW, Status.REQUIRES_CAPTURE}
    for payment in books.payments:
        payment_id = UUID(payment["id"])
        status = Status(payment["status"])
        assert status not in (Status.PENDING, Status.PROCESSING), f"{payment_id} cannot go on: {status}"
        assert not (has_expired and status in waiting), f"{payment_id} never expired: {status}"
        open_ = [row for row in books.operations_of(payment) if row["status"] in _OPEN]
        assert not open_, f"{open_} cannot go on"
        net = world.gateway.taken(payment_id) - world.gateway.given_back(payment_id)
        ours = payment["captured_minor"] - payment["refunded_minor"]
        # What the gateway refused to undo is on record as such, and a person looks.
        refused = [row for row in books.operations_of(payment) if _is_refused_undo(row)]
        owed = sum(row["amount_minor"] for row in refused if row["kind"] == Kind.REFUND)
        assert net == ours + owed, f"the gateway has {net}, we have {ours} and owe {owed}"
        # A reader of events alone knows what the gateway has.
        assert net == books.money_of(payment).net, f"the gateway has {net}, and by the events {books.money_of(payment)}"
        held = world.gateway.held(payment_id)
        may_be_held = status is Status.REQUIRES_CAPTURE or any(row["kind"] == Kind.VOID for row in refused)
        assert held == 0 or may_be_held, f"{status}, and {held} are held"


def _is_refused_undo(operation: Row) -> bool:
    """Tell whether the gateway has decided against an operation that undoes another."""
    is_refused = operation["status"] in (OperationStatus.DECLINED, OperationStatus.REVERSED)
    return is_refused and operation["cause"] in UNDO_CAUSES and operation["failure_code"] not in GIVEN_UP_CODES


def summary(world: World, books: Books) -> str:
    """Return the books in a few lines for a person."""
    payments = [_line(row, "id", "status", "failure_code", *_MONEY, "pending_operation") for row in books.payments]
    columns = ("id", "payment_id", "kind", "cause", "status", "amount_minor", "number", "asks", "failure_code")
    operations = [_line(row, *columns) for row in books.operations]
    attempts = [_line(row, "operation_id", "number", "status", "gateway_id", "error") for row in books.attempts]
    gateway = [*map(str, world.gateway.records.values()), *map(str, world.gateway.log)]
    queue = [f"{each.event.type} {each.event.data} at {each.available_at}" for each in world.messages()]
    others = [str(row) for row in (*books.to_return, *books.late_checks)]
    return "\n".join(["", f"now {world.clock.now()}", *payments, *operations, *attempts, *gateway, *others, *queue])


def _line(row: Row, *columns: str) -> str:
    return " ".join(f"{column}={row[column]}" for column in columns if row[column])


def _sum(operations: Sequence[Row], kind: Kind, statuses: frozenset[str] | set[OperationStatus]) -> int:
    return sum(row["amount_minor"] for row in operations if row["kind"] == kind and row["status"] in statuses)


def _data(fact: Row) -> Mapping[str, Any]:
    data: Mapping[str, Any] = orjson.loads(fact["body"])["data"]
    return data


def _minor(amount: str) -> int:
    """Return the minor units in a text of two places."""
    return int(amount.replace(".", ""))
