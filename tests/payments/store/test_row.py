"""The columns of a payment agree with the record and with the table."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from paybridge.database.database import Database, Statement
from paybridge.payments.domain.payment import Payment, PaymentOrder, Status, new_payment
from paybridge.payments.store.row import COLUMN_TYPES, INSERTED_VALUES, inserted_values, payment_from_row

_TABLE_TYPES = Statement("""
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = 'payments'::regclass AND attnum > 0 AND NOT attisdropped
""")
FULL_NAMES = {"timestamptz": "timestamp with time zone"}

PAYMENT = new_payment(
    PaymentOrder(amount_minor=10050, currency="RUB", metadata={"order_id": "1"}),
    id_=UUID(int=1),
    merchant_id=UUID(int=2),
    correlation_id="c",
    now=datetime(2026, 11, 21, tzinfo=UTC),
)


class TestColumns:
    def test_each_field_of_a_payment_has_a_column_of_its_name(self) -> None:
        assert set(COLUMN_TYPES) == {field.name for field in fields(Payment)}

    def test_a_row_becomes_the_payment_it_was(self) -> None:
        payment = replace(PAYMENT, status=Status.FAILED, failure_code="card_declined", last_sequence=3)
        row = [str(payment.status) if name == "status" else getattr(payment, name) for name in COLUMN_TYPES]
        assert payment_from_row(row) == payment

    @pytest.mark.parametrize(
        ("currency", "places"), [("EUR", 2), ("JPY", 0), ("BHD", 3), ("BGN", 2), ("ITL", 0), ("XXX", 2), ("ZZZ", 2)]
    )
    def test_a_row_older_than_its_places_is_read_by_the_table_of_currencies(self, currency: str, places: int) -> None:
        payment = replace(PAYMENT, currency=currency)
        row = [str(payment.status) if name == "status" else getattr(payment, name) for name in COLUMN_TYPES]
        row[list(COLUMN_TYPES).index("currency_places")] = None
        assert payment_from_row(row).currency_places == places

    def test_a_new_payment_has_a_value_for_every_placeholder(self) -> None:
        placeholders = {value.strip().split("::")[0].removeprefix(":") for value in INSERTED_VALUES.split(",")}
        assert set(inserted_values(PAYMENT)) == placeholders

    def test_fields_that_are_not_inserted_begin_with_the_defaults_of_the_record(self) -> None:
        defaults = {field.name: field.default for field in fields(Payment)}
        for name in COLUMN_TYPES.keys() - inserted_values(PAYMENT).keys():
            assert getattr(PAYMENT, name) == defaults[name]

    @pytest.mark.integration
    def test_the_types_are_those_of_the_table(self, database: Database) -> None:
        in_table = {row[0]: row[1] for row in database.run(_TABLE_TYPES)}
        for name, type_ in COLUMN_TYPES.items():
            assert in_table[name] == FULL_NAMES.get(type_, type_)
