"""Begin the capture or the cancellation of a payment that holds money, and cancel one that was not charged."""

from __future__ import annotations

from paybridge.database.database import Database
from paybridge.payments.domain.payment import Status
from paybridge.payments.store.ordered_operations import Order, ordering, write

_PENDING = """
    pending_operation_id = :operation_id::uuid, pending_operation_since = :created_at::timestamptz
"""
# The answer shows the payment as it is after the change, so it must be the one that was read.
_UNCHANGED = "p.version = :version::integer"
# The status is a parameter, or a plan from before the first payment might look for it among all that hold money.
_HOLDS = f"p.status = :held::text AND p.pending_operation IS NULL AND {_UNCHANGED}"

_CAPTURE = ordering(
    f"pending_operation = 'capture', capturing_minor = :amount_minor::bigint, {_PENDING}",
    f"""
        {_HOLDS} AND p.capture_before > :created_at::timestamptz
        AND :amount_minor::bigint BETWEEN 1 AND p.authorized_minor - p.captured_minor - p.capturing_minor
    """,
)

_CANCEL = ordering(f"pending_operation = 'cancel', {_PENDING}", _HOLDS)

# A webhook that is given up numbers an event of the payment without changing it otherwise.
_CANCEL_UNCHARGED = ordering(
    "status = 'canceled', failure_message = :reason::text, last_sequence = p.last_sequence + 1",
    f"p.status IN ('pending', 'review') AND {_UNCHANGED} AND p.last_sequence = :sequence::integer",
    inserts_operation=False,
)


def begin_capture(database: Database, order: Order) -> bool:
    """Reserve what the operation captures; see `ordered_operations.write`."""
    return write(database, _CAPTURE, order, held=str(Status.REQUIRES_CAPTURE), version=order.payment.version)


def begin_cancellation(database: Database, order: Order) -> bool:
    """Let the operation release the authorization; see `ordered_operations.write`."""
    return write(database, _CANCEL, order, held=str(Status.REQUIRES_CAPTURE), version=order.payment.version)


def cancel_uncharged(database: Database, order: Order, reason: str | None) -> bool:
    """Cancel a payment that no charge has begun for; see `ordered_operations.write`."""
    payment = order.payment
    return write(
        database,
        _CANCEL_UNCHARGED,
        order,
        version=payment.version,
        sequence=payment.last_sequence,
        reason=reason,
    )
