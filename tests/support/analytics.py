"""Events of payments, refunds and webhook deliveries as their features write them, for analytics to read."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from paybridge.analytics.domain import Wanted
from paybridge.analytics.read_figures import Period, read_figures
from paybridge.analytics.update import Updated, update_analytics
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.core.times import format_time
from paybridge.database.database import Database, Statement
from paybridge.outbox import store as outbox
from paybridge.wiring.analytics import services_over
from tests.support.feed import await_horizon

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
RUN_SECONDS_MAX = 60.0

_END_DELIVERY = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id,
                                    status, attempts, created_at, finished_at)
    VALUES (:id::uuid, :merchant_id::uuid, :payment_id::uuid, :id::uuid, 'payment.succeeded', 'http://127.0.0.1/ok',
            :body::text, 'c', :status::text, 1, :created_at::timestamptz, :ended_at::timestamptz)
    ON CONFLICT (id) DO UPDATE SET status = excluded.status, finished_at = excluded.finished_at
""")


@dataclass
class World:
    """A merchant whose payments exist as events alone."""

    database: Database
    merchant_id: UUID
    ids: Uuid7Ids = field(default_factory=Uuid7Ids)

    def payment(self, *steps: tuple[str, float], **changes: Any) -> list[Event]:
        """The events of a payment of 100.50 EUR that begins at noon: each step is a type and its second."""
        values = {"amount": "100.50", "currency": "EUR", "begin_at": NOON, **changes}
        payment_id, begin_at = uuid.uuid4(), values.pop("begin_at")
        events = []
        for sequence, (name, second) in enumerate((("created", 0.0), *steps), 1):
            captured = values["amount"] if name in {"succeeded", "refunded"} else "0"
            data = {"amount_captured": captured, "created_at": format_time(begin_at), "status": name, **values}
            events.append(self._event(f"payment.{name}", payment_id, sequence, begin_at, second, data))
        return events

    def refund(self, *steps: tuple[str, float], **changes: Any) -> list[Event]:
        """The events of a refund of 30.00 EUR that is asked for at noon."""
        values = {"amount": "30.00", "currency": "EUR", "begin_at": NOON, **changes}
        begin_at, refund_id = values.pop("begin_at"), uuid.uuid4()
        events = []
        for sequence, (name, second) in enumerate((("created", 0.0), *steps), 1):
            data = {"created_at": format_time(begin_at), "status": name, **values}
            about = {"subject_type": "refund", "subject_id": refund_id}
            events.append(self._event(f"refund.{name}", uuid.uuid4(), sequence, begin_at, second, data, **about))
        return events

    def end_delivery(self, status: str, *, id_: UUID | None = None, created_at: datetime = NOON) -> UUID:
        """A webhook delivery of an event about EUR that began at this time and ended a minute ago."""
        id_ = id_ or self.ids.new()
        self.database.run(
            _END_DELIVERY,
            id=id_,
            merchant_id=self.merchant_id,
            payment_id=uuid.uuid4(),
            body='{"data": {"currency": "EUR"}}',
            status=status,
            created_at=created_at,
            ended_at=datetime.now(UTC) - timedelta(minutes=1),
        )
        return id_

    def write(self, *events: Event) -> None:
        """Commit the events, in this order and in one transaction."""
        with self.database.transaction() as transaction:
            outbox.add(transaction, events)

    def update(self) -> Updated:
        """Bring the figures up to date with everything that is committed."""
        await_horizon(self.database)
        self.rest_nothing()
        return update_analytics(services_over(self.database), RUN_SECONDS_MAX)

    def rest_nothing(self) -> None:
        """Let days that have been computed just now be computed again."""
        self.database.run(Statement("UPDATE analytics.days SET seconds_spent = 0"))

    def days(self, **changes: Any) -> list[dict[str, Any]]:
        """The merchant's days as answers show them."""
        return self._figures(Period.DAY, **changes)

    def months(self, **changes: Any) -> list[dict[str, Any]]:
        """The merchant's months as answers show them."""
        return self._figures(Period.MONTH, **changes)

    def day(self, **changes: Any) -> dict[str, Any]:
        """The merchant's only day."""
        (found,) = self.days(**changes)
        return found

    def _figures(self, period: Period, **changes: Any) -> list[dict[str, Any]]:
        values = {"first": date(2026, 1, 1), "last": date(2026, 12, 31), "merchant_id": self.merchant_id, **changes}
        page = read_figures(self.database, period, Wanted(**values), cursor=None, limit=1000)
        assert page.next_cursor is None
        return [period.view(figures) for figures in page.figures]

    def _event(
        self,
        type_: str,
        payment_id: UUID,
        sequence: int,
        begin_at: datetime,
        second: float,
        data: dict[str, Any],
        **about: Any,
    ) -> Event:
        return Event(
            id=self.ids.new(),
            type=type_,
            payment_id=payment_id,
            merchant_id=self.merchant_id,
            correlation_id="c",
            time=begin_at + timedelta(seconds=second),
            data=data,
            sequence=sequence,
            **about,
        )


def again(events: Iterable[Event], ids: Uuid7Ids) -> list[Event]:
    """The same events under other ids, as if they had been written twice."""
    return [replace(event, id=ids.new()) for event in events]
