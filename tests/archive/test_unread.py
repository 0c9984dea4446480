"""A month stays until analytics have read and computed all of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import uuid4

import pytest

from local.testkit.archive import fill_month
from local.testkit.payments import new_merchant
from paybridge.analytics.domain import Wanted
from paybridge.analytics.read_figures import Period, read_figures
from paybridge.analytics.update import update_analytics
from paybridge.archive.order import order_run
from paybridge.archive.work import Worked, work_on_archive
from paybridge.database.database import Statement
from paybridge.wiring.analytics import services_over
from paybridge.wiring.archive import readers
from tests.archive.conftest import MONTH, PAYMENTS, RUN_SECONDS, Archive
from tests.support.feed import await_horizon

pytestmark = pytest.mark.integration

EVENTS = "events of 1 merchant not yet read by analytics"
DELIVERIES = "webhook deliveries not yet read by analytics"
DAYS = "days whose figures are not computed"
_MARK = Statement("""
    INSERT INTO analytics.dirty_days (merchant_id, day, currency, marked_at)
    VALUES (:merchant_id::uuid, :day::date, 'RUB', now())
""")
_EVENT = Statement("""
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
                        created_at, available_at, published_at, subject_type, subject_id)
    SELECT id, id, :merchant_id::uuid, 1, 'payment.created', 'payments.events', 'payment.created', '{}', 'c', now(),
           now(), now(), 'payment', id
    FROM uuid7_floor('2024-03-15 00:00Z') AS id
""")
_UNMARK = Statement("DELETE FROM analytics.dirty_days")


def work(archive: Archive) -> Worked:
    """Work on the archive as the function does, with everything that reads the log."""
    order_run(archive.database)
    worked = work_on_archive(replace(archive.services, readers=readers()), RUN_SECONDS)
    assert worked.failed == {}
    return worked


def read_all(archive: Archive) -> None:
    """Have analytics read and compute everything."""
    await_horizon(archive.database)
    assert update_analytics(services_over(archive.database), RUN_SECONDS).is_up_to_date


def payments(archive: Archive) -> int:
    """How many payments the figures of the month count."""
    wanted = Wanted(first=MONTH, last=date(2024, 3, 31), merchant_id=archive.merchant_id)
    page = read_figures(archive.database, Period.MONTH, wanted, cursor=None, limit=10)
    return sum(figures.payments for figures in page.figures)


def test_a_month_waits_until_analytics_have_read_it_and_its_figures_are_whole(archive: Archive) -> None:
    assert work(archive).waiting == {"2024-03": f"{EVENTS}, {DELIVERIES}"}
    read_all(archive)
    assert work(archive).archived == 1
    assert payments(archive) == PAYMENTS


def test_one_merchant_who_was_not_read_is_enough(archive: Archive) -> None:
    read_all(archive)
    # Nothing of this merchant was ever read, so it has no cursor.
    archive.database.run(_EVENT, merchant_id=new_merchant(archive.database))
    assert work(archive).waiting == {"2024-03": EVENTS}
    read_all(archive)
    assert work(archive).archived == 1


def test_events_of_other_months_do_not_matter(archive: Archive) -> None:
    read_all(archive)
    fill_month(archive.database, new_merchant(archive.database), date(2024, 4, 1), 3)
    worked = work(archive)
    assert (worked.archived, list(worked.waiting)) == (1, ["2024-04"])


def test_a_day_that_is_not_computed_keeps_its_month(archive: Archive) -> None:
    read_all(archive)
    for day, keeps in ((date(2024, 2, 29), False), (date(2024, 4, 1), False), (date(2024, 3, 31), True)):
        archive.database.run(_UNMARK)
        archive.database.run(_MARK, merchant_id=uuid4(), day=day)
        (reader,) = readers()
        low_high = archive.database.run(
            Statement("SELECT uuid7_floor('2024-03-01 00:00Z'), uuid7_floor('2024-04-01 00:00Z')")
        )[0]
        assert reader.describe_unread(archive.database, *low_high) == (DAYS if keeps else None)
