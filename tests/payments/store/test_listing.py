"""Every set of filters, for two merchants whose payments are alike: each sees its own that match, and no other."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import pytest

from local.testkit.payments import new_merchant, new_payment
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.domain.query import PaymentFilters
from paybridge.payments.store import listing, queries
from paybridge.payments.store.row import payment_from_row

pytestmark = pytest.mark.integration

_PROCESS = Statement("""
    UPDATE payments SET status = 'processing' WHERE id = :id::uuid
""")
_CAPTURE = Statement("""
    UPDATE payments SET status = 'succeeded', captured_minor = amount_minor WHERE id = :id::uuid
""")
STATUSES = (Status.PENDING, Status.PROCESSING, Status.SUCCEEDED)
CURRENCIES = ("RUB", "EUR")
CUSTOMERS = ("first", "second")
FILTERS = ("before", *(field.name for field in fields(PaymentFilters)))


@dataclass(frozen=True)
class Shop:
    """A merchant and all of its payments, newest first."""

    merchant_id: uuid.UUID
    payments: list[Payment]

    def matching(self, wanted: dict[str, Any]) -> list[Payment]:
        """The payments that a list with these filters is to show."""
        return [payment for payment in self.payments if matches(payment, wanted)]


def matches(payment: Payment, wanted: dict[str, Any]) -> bool:
    return all(
        {
            "before": lambda value: payment.id < value,
            "created_from": lambda value: payment.created_at >= value,
            "created_to": lambda value: payment.created_at < value,
        }.get(name, lambda value, name=name: getattr(payment, name) == value)(value)
        for name, value in wanted.items()
    )


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture(scope="module")
def shops(database: Database) -> tuple[Shop, Shop]:
    """Two merchants whose payments were made in turns, one of each kind for each of them."""
    merchants = new_merchant(database), new_merchant(database)
    made: dict[uuid.UUID, list[Payment]] = {merchant_id: [] for merchant_id in merchants}
    for status, currency, customer in itertools.product(STATUSES, CURRENCIES, CUSTOMERS):
        for merchant_id in merchants:
            payment_id = new_payment(database, merchant_id, currency=currency, customer=customer)
            bring_to(database, payment_id, status)
            payment = queries.get(database, merchant_id, payment_id)
            assert payment is not None
            made[merchant_id].append(payment)
    first, second = (Shop(id_, sorted(made[id_], key=attrgetter("id"), reverse=True)) for id_ in merchants)
    return first, second


def bring_to(database: Database, payment_id: uuid.UUID, status: Status) -> None:
    if status is not Status.PENDING:
        database.run(_PROCESS, id=payment_id)
    if status is Status.SUCCEEDED:
        database.run(_CAPTURE, id=payment_id)


def values_of(name: str, payments: list[Payment]) -> list[Any]:
    """The values of a filter to try: not given, and some that part of the payments have."""
    some = payments[len(payments) // 3], payments[2 * len(payments) // 3]
    known = {
        "before": [some[0].id],
        "status": list(STATUSES),
        "currency": list(CURRENCIES),
        "customer": list(CUSTOMERS),
        "created_from": [some[1].created_at],
        "created_to": [some[0].created_at],
    }
    return [None, *known[name]]


def every_set_of_filters(payments: list[Payment]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*(values_of(name, payments) for name in FILTERS)):
        yield {name: value for name, value in zip(FILTERS, values, strict=True) if value is not None}


def list_newest_first(
    database: Database, merchant_id: uuid.UUID, filters: PaymentFilters, **page: Any
) -> list[Payment]:
    return [payment_from_row(row) for row in listing.list_newest_first(database, merchant_id, filters, **page)]


class TestListNewestFirst:
    @pytest.mark.parametrize("own", [0, 1])
    def test_every_set_of_filters_shows_the_merchants_matching_payments_alone(
        self, database: Database, shops: tuple[Shop, Shop], own: int
    ) -> None:
        shop = shops[own]
        # Bounds taken from the other merchant's payments lie between this one's.
        for wanted in every_set_of_filters(shops[1 - own].payments):
            filters = PaymentFilters(**{name: value for name, value in wanted.items() if name != "before"})
            found = list_newest_first(database, shop.merchant_id, filters, before=wanted.get("before"), limit=50)
            assert found == shop.matching(wanted), wanted

    def test_the_filters_tell_payments_apart(self, shops: tuple[Shop, Shop]) -> None:
        """Each filter shows some payments and hides others, or the test above would prove nothing of it."""
        for name, (_, *values) in ((name, values_of(name, shops[0].payments)) for name in FILTERS):
            for value in values:
                assert 0 < len(shops[0].matching({name: value})) < len(shops[0].payments)

    def test_it_shows_no_more_than_the_limit(self, database: Database, shops: tuple[Shop, Shop]) -> None:
        found = list_newest_first(database, shops[0].merchant_id, PaymentFilters(), before=None, limit=3)
        assert found == shops[0].payments[:3]

    def test_a_merchant_without_payments_sees_none(self, database: Database, shops: tuple[Shop, Shop]) -> None:
        stranger = new_merchant(database)
        for wanted in every_set_of_filters(shops[0].payments):
            filters = PaymentFilters(**{name: value for name, value in wanted.items() if name != "before"})
            assert list_newest_first(database, stranger, filters, before=wanted.get("before"), limit=50) == []
