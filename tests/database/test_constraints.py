"""Every invariant stands in the database too: what the domain would never do is refused there."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from local.testkit.payments import new_merchant, new_payment
from paybridge.core.errors import ConstraintViolated
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.domain.operation import UNSETTLED_STATUSES, Kind, OperationStatus
from paybridge.payments.domain.payment import TRANSITIONS, Status
from tests.support.breaks import new_break

pytestmark = pytest.mark.integration

_FORCE = """
    INSERT INTO payments (id, merchant_id, amount_minor, currency, status, correlation_id, created_at, updated_at,
                          captured_minor, refunded_minor, failure_code, capture, authorized_minor, capture_before)
    VALUES (:id::uuid, :merchant_id::uuid, :amount::bigint, 'EUR', :status::text, 'c', now(), now(), :captured::bigint,
            :refunded::bigint, :failure_code::text, :capture::text, :authorized::bigint, :capture_before::timestamptz)
"""
# How code older than operations records the first attempt at a charge.
_BEGIN_AS_BEFORE = Statement("""
    INSERT INTO payment_attempts (payment_id, operation, number, status) VALUES (:id::uuid, 'charge', 1, 'started')
""")
# What the other columns must say for a status to be believed.
_COMPANIONS: dict[Status, dict[str, Any]] = {
    Status.FAILED: {"failure_code": "card_declined"},
    Status.SUCCEEDED: {"captured": 100},
    Status.PARTIALLY_REFUNDED: {"captured": 100, "refunded": 40},
    Status.REFUNDED: {"captured": 100, "refunded": 100},
    Status.REQUIRES_CAPTURE: {
        "capture": "manual",
        "authorized": 100,
        "capture_before": datetime(2026, 1, 1, tzinfo=UTC),
    },
}

_RECONCILIATION = Statement("""
    INSERT INTO reconciliations (id, day, began_at, gateways, phase, actor, created_at)
    VALUES (:id::uuid, '1999-01-01', now(), '{bank,card}', 'statement', 'tests', now())
""")
_LINE = Statement("""
    INSERT INTO gateway_statement_lines (statement_id, key, is_named, number, line_id, kind, amount_minor, currency,
                                         status, at, is_of_day)
    VALUES (gen_random_uuid(), gen_random_uuid(), false, 1, 'ch', :kind::text, 1, 'EUR', 'succeeded', now(), true)
""")
_ACTION = Statement("""
    INSERT INTO reconciliation_break_actions (break_id, number, at, action, resolution, actor)
    VALUES (:id::uuid, 1, now(), :action::text, :resolution::text, 'tests')
""")

CAPTURING = "pending_operation = 'capture', pending_operation_id = gen_random_uuid(), pending_operation_since = now()"


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    database = Database(database_address)
    yield database
    database.close()


# What the other columns must say for the status of a refund to be believed.
_FORCE_OPERATION = Statement("""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, correlation_id, created_at,
                            updated_at, status, number, started_at, pending_at, gateway_id, failure_code,
                            approved_minor)
    VALUES (:id::uuid, gen_random_uuid(), gen_random_uuid(), 'refund', 'default', 100, 'c', now(), now(),
            :status::text, :number::smallint, :at::timestamptz, :at::timestamptz, :gateway_id::text,
            :failure_code::text, :approved_minor::bigint)
""")
_MOVE_OPERATION = Statement("""
    UPDATE operations SET status = :status::text, number = :number::smallint, started_at = :at::timestamptz,
        pending_at = :at::timestamptz, gateway_id = :gateway_id::text, failure_code = :failure_code::text,
        approved_minor = :approved_minor::bigint
    WHERE id = :id::uuid
""")


def operation_companions(status: OperationStatus) -> dict[str, Any]:
    return {
        "status": status,
        "number": 0 if status is OperationStatus.ACCEPTED else 1,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "gateway_id": "gw_1",
        "failure_code": "declined" if status in {OperationStatus.DECLINED, OperationStatus.REVERSED} else None,
        "approved_minor": 60 if status is OperationStatus.PARTIAL else None,
    }


def companions(status: Status) -> dict[str, Any]:
    return {
        "amount": 100,
        "captured": 0,
        "refunded": 0,
        "failure_code": None,
        "capture": "automatic",
        "authorized": 0,
        "capture_before": None,
        **_COMPANIONS.get(status, {}),
    }


def force(database: Database, status: str, **changes: Any) -> uuid.UUID:
    id_ = uuid.uuid4()
    values = {**companions(Status(status)), **changes}
    database.run(Statement(_FORCE), id=id_, merchant_id=new_merchant(database), status=status, **values)
    return id_


class TestTransitions:
    @pytest.mark.parametrize(("current", "target"), list(itertools.permutations(Status, 2)))
    def test_the_trigger_and_the_domain_say_the_same(self, database: Database, current: Status, target: Status) -> None:
        id_ = force(database, current)
        move = Statement("""
            UPDATE payments SET status = :target::text, amount_minor = :amount::bigint,
                captured_minor = :captured::bigint, refunded_minor = :refunded::bigint,
                failure_code = :failure_code::text, capture = :capture::text, authorized_minor = :authorized::bigint,
                capture_before = :capture_before::timestamptz
            WHERE id = :id::uuid
        """)
        if target in TRANSITIONS[current]:
            database.run(move, id=id_, target=target, **companions(target))
            return
        with pytest.raises(ConstraintViolated) as caught:
            database.run(move, id=id_, target=target, **companions(target))
        assert caught.value.constraint == "payments_transition_is_legal"


class TestAmounts:
    @pytest.mark.parametrize(
        ("status", "changes", "constraint"),
        [
            ("succeeded", {"captured": 101}, "payments_captured_within_amount"),
            ("pending", {"captured": -1}, "payments_captured_within_amount"),
            ("succeeded", {"captured": 0}, "payments_captured_when_succeeded"),
            ("pending", {"captured": 50}, "payments_captured_when_succeeded"),
            ("pending", {"amount": 0}, "payments_amount_is_positive"),
            ("pending", {"amount": -1}, "payments_amount_is_positive"),
            ("partially_refunded", {"captured": 50, "refunded": -1}, "payments_refunded_when_said"),
            ("refunded", {"captured": 50, "refunded": 40}, "payments_refunded_when_said"),
            ("succeeded", {"refunded": 10}, "payments_refunded_when_said"),
            ("failed", {"failure_code": None}, "payments_failure_has_a_code"),
            ("pending", {"failure_code": "card_declined"}, "payments_failure_has_a_code"),
        ],
    )
    def test_an_impossible_payment_is_refused(
        self, database: Database, status: str, changes: dict[str, Any], constraint: str
    ) -> None:
        with pytest.raises(ConstraintViolated) as caught:
            force(database, status, **changes)
        assert caught.value.constraint == constraint


class TestReservations:
    @pytest.mark.parametrize(
        ("status", "changes", "constraint"),
        [
            ("succeeded", "refunding_minor = 101", "payments_refunding_within_captured"),
            ("succeeded", "refunding_minor = -1", "payments_refunding_within_captured"),
            ("partially_refunded", "refunding_minor = 61", "payments_refunding_within_captured"),
            ("refunded", "refunding_minor = 1", "payments_refunding_within_captured"),
            ("requires_capture", "refunding_minor = 1", "payments_refunding_within_captured"),
            ("requires_capture", f"capturing_minor = 101, {CAPTURING}", "payments_capturing_within_authorized"),
            ("requires_capture", f"capturing_minor = 0, {CAPTURING}", "payments_capturing_has_an_operation"),
            ("requires_capture", "capturing_minor = 1", "payments_capturing_has_an_operation"),
            ("requires_capture", "pending_operation = 'cancel'", "payments_pending_operation_is_whole"),
            ("requires_capture", "authorized_minor = 0", "payments_authorized_when_said"),
            ("requires_capture", "capture_before = NULL", "payments_authorized_when_said"),
            ("succeeded", f"capturing_minor = 1, {CAPTURING}", "payments_capturing_within_authorized"),
            ("pending", f"{CAPTURING.replace('capture', 'cancel', 1)}", "payments_pending_operation_holds_money"),
        ],
    )
    def test_more_than_there_is_cannot_be_reserved(
        self, database: Database, status: str, changes: str, constraint: str
    ) -> None:
        id_ = force(database, status)
        with pytest.raises(ConstraintViolated) as caught:
            database.run(Statement(f"UPDATE payments SET {changes} WHERE id = :id::uuid"), id=id_)  # noqa: S608
        assert caught.value.constraint == constraint

    @pytest.mark.parametrize(("status", "left"), [("succeeded", 100), ("partially_refunded", 60)])
    def test_all_that_is_left_can(self, database: Database, status: str, left: int) -> None:
        reserve = "UPDATE payments SET refunding_minor = :left::bigint WHERE id = :id::uuid"
        database.run(Statement(reserve), id=force(database, status), left=left)

    @pytest.mark.parametrize(
        ("changes", "constraint"),
        [
            ({"amount_minor": 0}, "operations_amount_is_positive"),
            ({"kind": "charge"}, "operations_first_has_the_payments_id"),
            ({"kind": "gift"}, "operations_kind_is_known"),
            ({"status": "started"}, "operations_accepted_is_unasked"),
        ],
    )
    def test_an_impossible_operation_is_refused(
        self, database: Database, changes: dict[str, Any], constraint: str
    ) -> None:
        values = {"kind": "refund", "status": "accepted", "amount_minor": 1, **changes}
        with pytest.raises(ConstraintViolated) as caught:
            database.run(
                Statement("""
                    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status,
                                            correlation_id, created_at, updated_at)
                    VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), :kind::text, 'default',
                            :amount_minor::bigint, :status::text, 'c', now(), now())
                """),
                **values,
            )
        assert caught.value.constraint == constraint


class TestOperationTransitions:
    @pytest.mark.parametrize(("current", "target"), list(itertools.permutations(OperationStatus, 2)))
    def test_an_outcome_is_final_but_for_a_refund_that_is_taken_back(
        self, database: Database, current: OperationStatus, target: OperationStatus
    ) -> None:
        id_ = uuid.uuid4()
        database.run(_FORCE_OPERATION, id=id_, **operation_companions(current))
        move = partial(database.run, _MOVE_OPERATION, id=id_, **operation_companions(target))
        is_refund_taken_back = (current, target) == (OperationStatus.SUCCEEDED, OperationStatus.REVERSED)
        if is_refund_taken_back or (current in UNSETTLED_STATUSES and target is not OperationStatus.ACCEPTED):
            move()
            return
        with pytest.raises(ConstraintViolated) as caught:
            move()
        assert caught.value.constraint == "operations_transition_is_legal"


class TestAttempts:
    def test_a_successful_attempt_needs_the_gateways_proof(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        with pytest.raises(ConstraintViolated) as caught:
            database.run(
                Statement("""
                    INSERT INTO payment_attempts (payment_id, operation, number, status, finished_at)
                    VALUES (:id::uuid, 'charge', 1, 'succeeded', now())
                """),
                id=payment_id,
            )
        assert caught.value.constraint == "payment_attempts_charged_has_proof"

    @pytest.mark.parametrize(
        ("capture", "gateway"), [("manual", "default"), ("automatic", "stripe"), ("manual", "stripe")]
    )
    def test_code_of_before_operations_begins_plain_charges_alone(
        self, database: Database, capture: str, gateway: str
    ) -> None:
        merchant_id = new_merchant(database)
        plain = new_payment(database, merchant_id)
        other = new_payment(database, merchant_id, capture=capture)
        database.run(_BEGIN_AS_BEFORE, id=plain)
        database.run(
            Statement("UPDATE merchants SET gateway = :gateway::text WHERE id = :id::uuid"),
            gateway=gateway,
            id=merchant_id,
        )
        with pytest.raises(ConstraintViolated) as caught:
            database.run(_BEGIN_AS_BEFORE, id=other)
        assert caught.value.constraint == "payment_attempts_only_plain_charges"


class TestReconciliations:
    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ("state = 'finished', finished_at = now()", "reconciliations_finished_are_explained"),
            (
                "state = 'finished', finished_at = now(), unexplained = '{}'",
                "reconciliations_finished_are_explained",
            ),
            (
                "state = 'finished', finished_at = now(), difference = '{}', unexplained = '{\"EUR\": \"1\"}'",
                "reconciliations_finished_are_explained",
            ),
            ("day = '1969-12-31'", "reconciliations_day_check"),
            ("gateway = 2", "reconciliations_gateway_is_one_of_them"),
            ("gateway = 1, gateways = '{}'", "reconciliations_gateway_is_one_of_them"),
            ("matched = -1", "reconciliations_matched_check"),
            ("on_the_way = -1", "reconciliations_on_the_way_check"),
            ("pending = -1", "reconciliations_pending_check"),
        ],
    )
    def test_an_impossible_reconciliation_is_refused(self, database: Database, change: str, constraint: str) -> None:
        id_ = uuid.uuid4()
        database.run(_RECONCILIATION, id=id_)
        with pytest.raises(ConstraintViolated) as caught:
            database.run(Statement(f"UPDATE reconciliations SET {change} WHERE id = :id::uuid"), id=id_)  # noqa: S608
        database.run(Statement("DELETE FROM reconciliations WHERE id = :id::uuid"), id=id_)
        assert caught.value.constraint == constraint

    def test_a_line_of_an_unknown_kind_is_refused(self, database: Database) -> None:
        with pytest.raises(ConstraintViolated) as caught:
            database.run(_LINE, kind="chargeback")
        assert caught.value.constraint == "gateway_statement_lines_kind_is_known"

    def test_a_line_of_any_kind_of_operation_is_kept(self, database: Database) -> None:
        for kind in Kind:
            database.run(_LINE, kind=kind)

    @pytest.mark.parametrize(("action", "resolution"), [("resolve", None), ("void", "force")])
    def test_a_resolution_belongs_to_what_was_resolved(
        self, database: Database, action: str, resolution: str | None
    ) -> None:
        with pytest.raises(ConstraintViolated) as caught:
            database.run(_ACTION, id=new_break(database), action=action, resolution=resolution)
        assert caught.value.constraint == "reconciliation_break_actions_resolve_somehow"


class TestPartitions:
    def test_a_new_payment_lies_in_the_partition_of_its_month(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        found = database.run(
            Statement("""
                SELECT tableoid::regclass::text = 'payments_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
                FROM payments WHERE id = :id::uuid
            """),
            id=payment_id,
        )
        assert found == [[True]]
