"""Find out which messages of queues are accounted for as dead letters."""

from __future__ import annotations

from collections.abc import Sequence

from paybridge.database.database import Statement, Transaction

# One that was redriven has left: its consumer must have worked on it since.
_DEAD = Statement("""
    SELECT DISTINCT message_id FROM dead_letters
    WHERE message_id = ANY (:ids::text[]) AND queue = ANY (:queues::text[]) AND state <> 'redriven'
""")


def find_dead(transaction: Transaction, message_ids: Sequence[str], queues: Sequence[str]) -> set[str]:
    """Return those of the messages that are dead letters of one of the queues."""
    rows = transaction.run(_DEAD, ids="{" + ",".join(message_ids) + "}", queues="{" + ",".join(queues) + "}")
    return {row[0] for row in rows}
