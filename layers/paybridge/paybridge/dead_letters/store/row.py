"""A row of `dead_letters` as the domain's record."""

from __future__ import annotations

from paybridge.database.wire import Row
from paybridge.dead_letters.domain import DeadLetter, State

COLUMNS = """id, state, queue, dead_letter_queue, reason, fingerprint, count, redrives, first_seen_at, last_seen_at,
    message_id, message_type, correlation_id, payment_id, octet_length(body), redrive_id, closed_at, closed_by, note"""
COLUMN_COUNT = 19


def letter_from_row(row: Row) -> DeadLetter:
    """Return the dead letter in a row that begins with COLUMNS."""
    return DeadLetter(
        id=row[0],
        state=State(row[1]),
        queue=row[2],
        dead_letter_queue=row[3],
        reason=row[4],
        fingerprint=row[5],
        count=row[6],
        redrives=row[7],
        first_seen_at=row[8],
        last_seen_at=row[9],
        message_id=row[10],
        message_type=row[11],
        correlation_id=row[12],
        payment_id=row[13],
        body_bytes=row[14],
        redrive_id=row[15],
        closed_at=row[16],
        closed_by=row[17],
        note=row[18],
    )
