"""The figures that `/metrics` shows, each at a cost that does not grow with what is kept.

Counters are exact and only grow. Gauges stop counting at COUNTED_MAX, which is above the threshold of every alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paybridge.audit.store import find_last
from paybridge.core.clock import Clock
from paybridge.core.events import (
    DELIVER_WEBHOOK,
    PAYMENT_CANCELED,
    PAYMENT_FAILED,
    PAYMENT_SUCCEEDED,
    PROCESS_PAYMENT,
    REFUND_FAILED,
    REFUND_SUCCEEDED,
)
from paybridge.core.gaps import GapKind
from paybridge.database import counters
from paybridge.database.database import Database
from paybridge.dead_letters.domain import DEAD_LETTERS_RECORDED, State
from paybridge.dead_letters.store.counting import count_in_state
from paybridge.ledger.domain.journals import JOURNALS_POSTED, TRANSFERS_POSTED
from paybridge.outbox.lag import count_outbox_due, relay_lag_seconds
from paybridge.payments.domain.payment import Status
from paybridge.payments.store.counting import count_open_circuits, count_unsettled
from paybridge.reconciliation.store.breaks import count_open
from paybridge.verification.store import findings
from paybridge.webhooks.domain.states import DeliveryStatus
from paybridge.webhooks.store.counting import count_pending

COUNTED_MAX = 10_000

COUNTER, GAUGE = "counter", "gauge"
_BOUNDED = f"Counted up to {COUNTED_MAX}."


@dataclass(frozen=True, slots=True)
class Sample:
    """A value and its labels."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, whether it is a counter or a gauge, what it means, and its samples."""

    name: str
    kind: str
    meaning: str
    samples: list[Sample]


def read_figures(database: Database, clock: Clock) -> list[Family]:
    """Return every figure. Raises DatabaseUnavailable and LockTimeout."""
    counted = counters.read(database)
    return [
        *_processor(counted),
        *_payments(database, clock, counted),
        *_messages(database, counted),
        *_books(database, counted),
        _gaps(database),
    ]


def _processor(counted: Mapping[str, int]) -> list[Family]:
    """Return the four counters of a payment processor, by the names that dashboards of such services use."""
    return [
        _counter(
            "payment_processor_messages_consumed_total",
            "Messages that the consumer has taken from its queues and worked on.",
            counted.get(counters.MESSAGES_CONSUMED, 0),
        ),
        _counter(
            "payment_processor_payments_successful_total",
            "Payments that have succeeded.",
            counted.get(PAYMENT_SUCCEEDED, 0),
        ),
        _counter(
            "payment_processor_payments_failed_total", "Payments that have failed.", counted.get(PAYMENT_FAILED, 0)
        ),
        _counter(
            "payment_processor_retries_total",
            "Commands to try a payment again, or to ask the gateway again.",
            counted.get(PROCESS_PAYMENT, 0),
        ),
    ]


def _payments(database: Database, clock: Clock, counted: Mapping[str, int]) -> list[Family]:
    unsettled = count_unsettled(database, COUNTED_MAX)
    settled = {"succeeded": PAYMENT_SUCCEEDED, "failed": PAYMENT_FAILED, "canceled": PAYMENT_CANCELED}
    refunds = {"succeeded": REFUND_SUCCEEDED, "failed": REFUND_FAILED}
    return [
        Family(
            "paybridge_payments_unsettled",
            GAUGE,
            f"Payments without an outcome. {_BOUNDED}",
            [Sample(unsettled.get(status, 0), {"status": status}) for status in (Status.PENDING, Status.PROCESSING)],
        ),
        Family(
            "paybridge_payments_settled_total",
            COUNTER,
            "Payments by the outcome that they have reached.",
            [Sample(counted.get(event_type, 0), {"status": status}) for status, event_type in settled.items()],
        ),
        Family(
            "paybridge_refunds_finished_total",
            COUNTER,
            "Refunds by their outcome. One that the gateway takes back after it has succeeded counts as both.",
            [Sample(counted.get(event_type, 0), {"status": status}) for status, event_type in refunds.items()],
        ),
        _gauge(
            "paybridge_gateway_circuits_open",
            "Circuits that let no calls of the gateway through.",
            count_open_circuits(database, clock.now()),
        ),
    ]


def _messages(database: Database, counted: Mapping[str, int]) -> list[Family]:
    finished = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.GONE)
    return [
        _gauge(
            "paybridge_outbox_due",
            f"Messages that are due and not published. {_BOUNDED}",
            count_outbox_due(database, COUNTED_MAX),
        ),
        _gauge(
            "paybridge_outbox_age_seconds",
            "How long the oldest message that is due or was refused has been waiting.",
            relay_lag_seconds(database),
        ),
        _gauge(
            "paybridge_webhook_deliveries_pending",
            f"Webhooks that wait for an attempt. {_BOUNDED}",
            count_pending(database, COUNTED_MAX),
        ),
        Family(
            "paybridge_webhook_deliveries_finished_total",
            COUNTER,
            "Webhooks by how they ended. Gone: the receiver answered 410.",
            [Sample(counted.get(f"delivery.{status}", 0), {"status": status}) for status in finished],
        ),
        _counter(
            "paybridge_webhook_retries_total", "Commands to try a webhook again.", counted.get(DELIVER_WEBHOOK, 0)
        ),
        Family(
            "paybridge_dead_letters",
            GAUGE,
            f"Dead letters by state. {_BOUNDED}",
            [Sample(count_in_state(database, state, COUNTED_MAX), {"state": state}) for state in State],
        ),
        _counter(
            "paybridge_dead_letters_recorded_total",
            "Messages taken from dead-letter queues.",
            counted.get(DEAD_LETTERS_RECORDED, 0),
        ),
    ]


def _books(database: Database, counted: Mapping[str, int]) -> list[Family]:
    open_breaks = count_open(database, COUNTED_MAX)
    return [
        _counter(
            "paybridge_ledger_journals_posted_total",
            "Journals that were posted to the live book.",
            counted.get(JOURNALS_POSTED, 0),
        ),
        _counter("paybridge_ledger_transfers_posted_total", "Their transfers.", counted.get(TRANSFERS_POSTED, 0)),
        Family(
            "paybridge_invariant_broken",
            GAUGE,
            "1 for an invariant that did not hold when it was checked within the last hour or so.",
            [Sample(int(holds is False), {"check": name}) for name, holds in findings.read(database).items()],
        ),
        Family(
            "paybridge_reconciliation_breaks_open",
            GAUGE,
            f"Breaks of reconciliations that are open, by type. {_BOUNDED}",
            [Sample(number, {"type": type_}) for type_, number in open_breaks.items()],
        ),
    ]


def _gaps(database: Database) -> Family:
    last = find_last(database)
    kinds = {} if last is None else last.page.kinds
    return Family(
        "paybridge_outbox_gaps",
        GAUGE,
        "Gaps that the last nightly audit of the outbox has found. None before the first has ended.",
        [] if last is None else [Sample(kinds.get(kind, 0), {"kind": kind}) for kind in GapKind],
    )


def _counter(name: str, meaning: str, value: int) -> Family:
    return Family(name, COUNTER, meaning, [Sample(value, {})])


def _gauge(name: str, meaning: str, value: float) -> Family:
    return Family(name, GAUGE, meaning, [Sample(value, {})])
