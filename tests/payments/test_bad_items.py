"""One payment that breaks our code, in whatever way, never holds up the others of its batch."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from local.testkit.payments import new_merchant, new_payment, payment_row
from paybridge.core import money
from paybridge.core.clock import SystemClock
from paybridge.database.database import Database, Statement
from paybridge.payments import outcome_events, start_attempts, tell_progress
from paybridge.payments.diagnose import diagnose_payment
from paybridge.payments.domain.payment import Payment, payment_view
from paybridge.payments.domain.query import PaymentFilters
from paybridge.payments.list_payments import list_payments, render
from paybridge.payments.read import read_payment
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.payments.store import operations as operation_store
from tests.support.item_errors import ITEM_ERRORS, name_of
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

_WITHDRAW = Statement("UPDATE payments SET currency = :currency::text WHERE id = :id::uuid")
_FORGET_PLACES = Statement("UPDATE payments SET currency_places = NULL WHERE id = :id::uuid")
_EVENT = Statement("""
    SELECT body::json->'data'->>'amount', body::json->'data'->>'currency' FROM outbox
    WHERE payment_id = :id::uuid AND type = 'payment.succeeded'
""")


@pytest.fixture
def services(database: Database) -> EngineServices:
    return engine_services(database, RecordingGateway())


@pytest.fixture
def merchant_id(database: Database) -> uuid.UUID:
    return new_merchant(database)


@pytest.fixture
def payment_ids(database: Database, merchant_id: uuid.UUID) -> list[uuid.UUID]:
    return [new_payment(database, merchant_id) for _ in range(21)]


async def charge(services: EngineServices, payment_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    results = await run_operations(services, [OperationOrder(id_, 1) for id_ in payment_ids])
    return {result.payment_id: result.outcome for result in results}


def break_for(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, id_: uuid.UUID, error: Exception) -> None:
    """Let a function of the module raise whenever it is given this payment, or a row of it."""
    work = getattr(module, name)

    def broken(*given: Any, **named: Any) -> Any:
        if any(_is_about(one, id_) for one in given):
            raise error
        return work(*given, **named)

    monkeypatch.setattr(module, name, broken)


def _is_about(given: Any, id_: uuid.UUID) -> bool:
    if isinstance(given, list):
        return id_ in given
    return isinstance(given, Payment) and given.id == id_


class TestCharge:
    @pytest.mark.parametrize("error", ITEM_ERRORS, ids=name_of)
    @pytest.mark.parametrize(
        ("module", "name"),
        [
            (operation_store, "payment_from_row"),
            (start_attempts, "begin_processing"),
            (tell_progress, "payment_event"),
            (outcome_events, "payment_event"),
        ],
        ids=["read", "begin", "begin event", "record"],
    )
    async def test_one_that_breaks_is_refused_and_the_others_settle(
        self,
        services: EngineServices,
        payment_ids: list[uuid.UUID],
        monkeypatch: pytest.MonkeyPatch,
        module: ModuleType,
        name: str,
        error: Exception,
    ) -> None:
        bad = payment_ids[10]
        with monkeypatch.context() as broken:
            break_for(broken, module, name, bad, error)
            outcomes = await charge(services, payment_ids)
        assert outcomes.pop(bad) == "refused"
        assert set(outcomes.values()) == {"succeeded"}
        assert len(outcomes) == 20
        assert payment_row(services.database, bad)["status"] in {"pending", "processing"}


class TestWithdrawnCurrencies:
    """A currency that leaves the table after a payment was stored, or that changes its places."""

    @pytest.mark.parametrize("currency", ["BGN", "HRK", "ITL", "XXX", "QQQ"])
    async def test_stored_payments_are_charged_shown_and_told(
        self, services: EngineServices, merchant_id: uuid.UUID, payment_ids: list[uuid.UUID], currency: str
    ) -> None:
        database, old = services.database, payment_ids[10]
        database.run(_WITHDRAW, id=old, currency=currency)
        assert await charge(services, payment_ids) == dict.fromkeys(payment_ids, "succeeded")
        payment = read_payment(database, merchant_id, old)
        assert payment is not None
        assert (payment_view(payment)["amount"], payment_view(payment)["amount_captured"]) == ("100.50", "100.50")
        assert database.run(_EVENT, id=old) == [["100.50", currency]]
        diagnosis = diagnose_payment(database, SystemClock(), old)
        assert diagnosis is not None
        assert diagnosis.payment == payment
        page = list_payments(database, merchant_id, PaymentFilters(currency=currency), cursor=None, limit=10)
        assert [found.id for found in page.payments] == [old]

    @pytest.mark.parametrize("change", [None, 0, 3])
    async def test_places_that_change_leave_stored_amounts_as_they_were(
        self, services: EngineServices, merchant_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch, change: int | None
    ) -> None:
        old = new_payment(services.database, merchant_id, currency="ISK", amount_minor=10050)
        monkeypatch.setitem(money.EXPONENTS, "ISK", change)
        assert await charge(services, [old]) == {old: "succeeded"}
        payment = read_payment(services.database, merchant_id, old)
        assert payment is not None
        assert payment_view(payment)["amount"] == "10050"
        assert services.database.run(_EVENT, id=old) == [["10050", "ISK"]]

    async def test_a_row_of_old_code_is_read_by_the_table(
        self, services: EngineServices, merchant_id: uuid.UUID
    ) -> None:
        old = new_payment(services.database, merchant_id, currency="BHD", amount_minor=10050)
        services.database.run(_FORGET_PLACES, id=old)
        assert await charge(services, [old]) == {old: "succeeded"}
        assert services.database.run(_EVENT, id=old) == [["10.050", "BHD"]]


class TestPages:
    @pytest.mark.parametrize("error", ITEM_ERRORS, ids=name_of)
    def test_a_payment_that_cannot_be_read_is_logged_and_left_out(
        self,
        database: Database,
        merchant_id: uuid.UUID,
        payment_ids: list[uuid.UUID],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        error: Exception,
    ) -> None:
        from paybridge.payments import list_payments as module

        # The last of a page gives the cursor of the next one.
        bad = payment_ids[11]
        break_for(monkeypatch, module, "payment_from_row", bad, error)
        seen, cursor, pages = [], None, 0
        while pages == 0 or cursor is not None:
            page = list_payments(database, merchant_id, PaymentFilters(), cursor=cursor, limit=10)
            seen += [payment.id for payment in page.payments]
            cursor, pages = page.next_cursor, pages + 1
        assert (seen, pages) == ([id_ for id_ in reversed(payment_ids) if id_ != bad], 3)
        (line,) = [vars(record) for record in caplog.records if record.message == "a payment cannot be read"]
        assert (line["levelname"], line["payment_id"], line["error_type"]) == ("ERROR", str(bad), name_of(error))

    def test_a_payment_that_cannot_be_shown_is_left_out(
        self, database: Database, merchant_id: uuid.UUID, payment_ids: list[uuid.UUID]
    ) -> None:
        def show(payment: Payment) -> bytes:
            if payment.id == payment_ids[5]:
                raise ValueError
            return payment.id.bytes

        page = list_payments(database, merchant_id, PaymentFilters(), cursor=None, limit=100)
        page, views = render(page, show)
        expected = [id_ for id_ in reversed(payment_ids) if id_ != payment_ids[5]]
        assert [payment.id for payment in page.payments] == expected
        assert views == [id_.bytes for id_ in expected]
