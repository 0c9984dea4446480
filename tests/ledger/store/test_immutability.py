"""What is written in the books stays: by right for the functions, and by trigger for every other role."""

# ruff: noqa: S608 -- what is put into the SQL are names of this file.

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from local.testkit.ledger import MoneyEvents, new_correction
from local.testkit.payments import new_merchant
from paybridge.core.errors import ConstraintViolated, QueryFailed
from paybridge.database.database import Database, Statement
from paybridge.database.partitions import months
from paybridge.ledger.post import post_events
from paybridge.ledger.seal import seal_books
from paybridge.operations.extend_partitions import extend_partitions

pytestmark = pytest.mark.integration

CHANGES = [
    *(
        change
        for table in ("ledger.journals", "ledger.transfers", "{month}", "ledger.corrections")
        for change in (f"UPDATE {table} SET rule = 9", f"DELETE FROM {table}", f"TRUNCATE {table}")
    ),
    *(change.format("ledger.seals") for change in ("UPDATE {} SET journals = 9", "DELETE FROM {}", "TRUNCATE {}")),
    "UPDATE merchant_fees SET fees = NULL",
    "DELETE FROM merchant_fees",
    "TRUNCATE merchant_fees",
]


@pytest.fixture
def posted(database: Database) -> MoneyEvents:
    """A merchant with a payment in the books."""
    events = MoneyEvents(new_merchant(database))
    database.run(
        Statement("INSERT INTO merchant_fees (merchant_id, valid_from) VALUES (:id::uuid, :at::timestamptz)"),
        id=events.merchant_id,
        at=datetime.now(UTC),
    )
    assert post_events(database, [events.succeeded("1.00")]).posted == 1
    new_correction(database, events.merchant_id)
    assert seal_books(database, 60.0, 0.0).journals
    return events


def table_of(change: Statement) -> str:
    """The table that a change is about."""
    return next(word for word in change.sql.split() if word not in ("UPDATE", "DELETE", "FROM", "TRUNCATE"))


def change_of(database: Database, change: str) -> Statement:
    _, month, _ = sorted(month.partition for month in months(database, 0) if month.parent == "ledger.transfers")
    return Statement(change.format(month=month))


@pytest.mark.parametrize("change", CHANGES)
class TestRights:
    @pytest.mark.usefixtures("posted")
    def test_the_functions_may_not_change_what_is_written(self, database: Database, change: str) -> None:
        with pytest.raises(QueryFailed, match="42501"):
            database.run(change_of(database, change))


@pytest.mark.parametrize("change", CHANGES)
class TestTriggers:
    @pytest.mark.usefixtures("posted")
    def test_a_trigger_refuses_those_who_have_the_right(self, database: Database, change: str) -> None:
        statement = change_of(database, change)
        with pytest.raises(ConstraintViolated) as refused, database.transaction() as transaction:
            transaction.run(Statement(f"GRANT UPDATE, DELETE, TRUNCATE ON {table_of(statement)} TO CURRENT_USER"))
            transaction.run(statement)
        assert refused.value.constraint.endswith("_is_immutable")


class TestPartitions:
    def test_a_month_that_comes_late_takes_its_rows_and_stays_as_protected(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        late = next(month for month in reversed(months(database, 0)) if month.parent == "ledger.journals")
        assert not late.exists or late.begins_in_days > 0
        milliseconds = int(late.begins_at.timestamp() * 1000) + 5
        event = replace(events.succeeded("1.00"), id=uuid.UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | 1))
        for parent in ("journals", "transfers"):
            database.run(Statement(f"DROP TABLE ledger.{parent}_{late.name}"))
        assert post_events(database, [event]).posted == 1
        created = extend_partitions(database, lambda *_: pytest.fail("a partition was not created")).created
        assert sorted(created) == [f"ledger.{parent}_{late.name}" for parent in ("journals", "transfers")]
        for parent in ("journals", "transfers"):
            table = f"ledger.{parent}_{late.name}"
            assert database.run(Statement(f"SELECT count(*) FROM {table} WHERE event_id = :id::uuid"), id=event.id) == [
                [1]
            ]
            for change in ("UPDATE {} SET rule = 9", "DELETE FROM {}", "TRUNCATE {}", "DELETE FROM ledger.{}_default"):
                with pytest.raises(QueryFailed, match="42501"):
                    database.run(Statement(change.format(parent if "_default" in change else table)))
        assert post_events(database, [event]).repeated == 1


class TestConstraints:
    """Even a wrong statement cannot write what does not balance."""

    _INSERT = Statement("""
        INSERT INTO ledger.transfers (book, event_id, rule, number, places, debit_account, credit_account, amount_minor,
                                      happened_at, currency)
        SELECT 1, :event_id::uuid, 1, 1, :places::smallint, d.id, c.id, :amount::bigint, now(), :currency::text
        FROM ledger.accounts d, ledger.accounts c
        WHERE d.kind = :debit::text AND c.kind = :credit::text AND d.currency = 'EUR' AND c.currency = 'EUR'
        LIMIT 1
    """)

    @pytest.mark.usefixtures("posted")
    @pytest.mark.parametrize(
        ("changes", "constraint"),
        [
            ({"amount": 0}, "transfers_amount_is_positive"),
            ({"amount": -1}, "transfers_amount_is_positive"),
            ({"currency": "USD"}, "transfers_credit_in_currency"),
            ({"places": 3}, "transfers_credit_in_currency"),
            ({"credit": "gateway_clearing"}, "transfers_between_two_accounts"),
        ],
        ids=["zero", "negative", "other-currency", "other-places", "same-account"],
    )
    def test_a_transfer_moves_an_amount_between_two_accounts_of_its_currency(
        self, database: Database, changes: dict[str, object], constraint: str
    ) -> None:
        values = {
            "amount": 1,
            "currency": "EUR",
            "places": 2,
            "debit": "gateway_clearing",
            "credit": "available",
            **changes,
        }
        with pytest.raises(ConstraintViolated) as refused:
            database.run(self._INSERT, event_id=uuid.uuid4(), **values)
        assert refused.value.constraint == constraint

    @pytest.mark.parametrize(("rule", "corrects"), [(1, uuid.uuid4()), (-1, None)], ids=["names one", "names none"])
    def test_a_correction_and_no_other_journal_names_one(
        self, database: Database, rule: int, corrects: uuid.UUID | None
    ) -> None:
        journal = Statement("""
            INSERT INTO ledger.journals (book, event_id, rule, rule_version, id, owner, happened_at, currency, corrects,
                                         reason)
            VALUES (1, :id::uuid, :rule::smallint, 1, :id::uuid, :id::uuid, now(), 'EUR', :corrects::uuid, 'test')
        """)
        with pytest.raises(ConstraintViolated, match="journals_corrections_name_what"):
            database.run(journal, id=uuid.uuid4(), rule=rule, corrects=corrects)

    def test_a_settled_payout_names_who_settled_it(self, database: Database) -> None:
        payout = Statement("""
            INSERT INTO ledger.payouts (id, merchant_id, currency, places, amount_minor, available_after_minor, status,
                                        idempotency_key, fingerprint, correlation_id, created_at, updated_at)
            VALUES (:id::uuid, :id::uuid, 'EUR', 2, 1, 0, 'paid', 'k', sha256(''), 'c', now(), now())
        """)
        with pytest.raises(ConstraintViolated, match="payouts_settled_by_someone"):
            database.run(payout, id=uuid.uuid4())

    def test_one_book_is_live(self, database: Database) -> None:
        with pytest.raises(ConstraintViolated, match="books_one_is_live"):
            database.run(Statement("INSERT INTO ledger.books VALUES (2, 'second', 'live', 1, now(), now())"))
