"""Compare subjects with their events: did every change leave its event?

A change and its event are written by one transaction, and one statement looks at both, so nothing is ever in between.
Each feature says which of its rows are compared, and the statement is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

from paybridge.core.gaps import Gap, GapKind
from paybridge.database.statement import Statement
from paybridge.database.wire import Row


class Compared(NamedTuple):
    """A subject that differs from its events. None where there is no row, or no event.

    `first`: the number that its oldest event has to have, 1 unless the older ones may be archived. `agrees`: its state
    is the one in which its last event left it.
    """

    id: UUID
    merchant_id: UUID | None
    status: str | None
    last_sequence: int | None
    events: int | None
    numbers: int | None
    first: int | None
    newest: int | None
    last_type: str | None
    agrees: bool


def events_of(subject_type: str, id_: str, condition: str) -> str:
    """Return the query of the events of subjects, by the column of their id and the condition that chooses them.

    The type of the last one says in which state it left the subject. It is compared byte by byte, which is cheaper than
    the order of a language.
    """
    return f"""
        SELECT {id_} AS id, count(*) AS events, count(DISTINCT sequence) AS numbers, min(sequence) AS oldest,
               max(sequence) AS newest, max(created_at) AS newest_at,
               substr(max((lpad(sequence::text, 10, '0') || type) COLLATE "C")
                   FILTER (WHERE type LIKE '{subject_type}.%'), 11) AS last_type
        FROM outbox WHERE {condition} AND sequence IS NOT NULL
        GROUP BY {id_}
    """  # noqa: S608 -- only texts of the program.


def comparison(changed: str, told: str, agrees: str, judged: str = "true") -> Statement:
    """Return the statement whose rows are `Compared`.

    `changed` is the query of the subjects: id, merchant_id, status, last_sequence, and what the others name. `agrees`
    compares the state with `t.last_type`. `judged` chooses which are compared, by the columns of `c` and `t`. A subject
    with the column `is_older` may have lost its oldest events to the archive.
    """
    return Statement(f"""
        WITH changed AS ({changed}), told AS ({told}), compared AS (
            SELECT coalesce(c.id, t.id) AS id, c.merchant_id, c.status, c.last_sequence, t.events, t.numbers,
                   CASE WHEN c.is_older THEN t.oldest ELSE 1 END AS first, t.newest, t.last_type,
                   coalesce({agrees}, true) AS agrees, c.id IS NULL AS is_unknown, c.is_older
            FROM changed c FULL JOIN told t ON t.id = c.id
            WHERE {judged}
        )
        SELECT id, merchant_id, status, last_sequence, events, numbers, first, newest, last_type, agrees
        FROM compared
        WHERE is_unknown OR (events IS NULL AND last_sequence > 0 AND NOT is_older)
           OR newest <> last_sequence OR events <> newest - first + 1 OR numbers <> events OR NOT agrees
        ORDER BY id
    """)  # noqa: S608 -- only texts of the program.


def gaps_of(subject_type: str, rows: Iterable[Row]) -> list[Gap]:
    """Return what is wrong with the subjects in rows of a `comparison`."""
    return [gap for row in rows for gap in _gaps(subject_type, Compared(*row))]


def _gaps(subject_type: str, found: Compared) -> Iterator[Gap]:
    for kind, detail in _faults(found):
        yield Gap(
            kind=kind,
            subject_type=subject_type,
            subject_id=found.id,
            merchant_id=found.merchant_id,
            event_type=found.last_type,
            detail=detail,
        )


def _faults(found: Compared) -> Iterator[tuple[GapKind, str]]:
    if found.last_sequence is None:
        yield GapKind.NO_SUBJECT, f"{found.events} events of a subject that does not exist"
        return
    if found.events is None or found.numbers is None or found.newest is None or found.first is None:
        yield GapKind.NO_EVENTS, f"{found.status}, with {found.last_sequence} changes and no event"
        return
    if found.numbers < found.newest - found.first + 1:
        yield GapKind.SEQUENCE_HOLE, f"{found.numbers} of the events {found.first} to {found.newest}"
    if found.events > found.numbers:
        yield GapKind.SEQUENCE_TWICE, f"{found.events} events with {found.numbers} numbers"
    if found.last_sequence > found.newest:
        yield GapKind.LAST_EVENT_MISSING, f"{found.last_sequence} changes, and event {found.newest} is the last"
    elif found.last_sequence < found.newest:
        yield GapKind.EVENT_AHEAD, f"{found.last_sequence} changes, and there is an event {found.newest}"
    elif not found.agrees:
        yield GapKind.STATE_DIFFERS, f"{found.status}, and the last event is {found.last_type}"
