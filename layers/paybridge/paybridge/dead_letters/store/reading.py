"""Read dead letters: a page of them, one with its content, and groups of one fingerprint."""

from __future__ import annotations

from functools import cache
from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.dead_letters.domain import Action, DeadLetter, DeadLetterContent, Group, Selection
from paybridge.dead_letters.store.row import COLUMN_COUNT, COLUMNS, letter_from_row
from paybridge.dead_letters.store.selecting import condition, parameters_of

# Ids are UUIDv7, so their order is that of time.
_LAST_ID = UUID(int=2**128 - 1)

_ONE = Statement(f"""
    SELECT {COLUMNS}, substring(body FROM 1 FOR :body_bytes_max::integer), headers, deaths
    FROM dead_letters WHERE id = :id::uuid
""")
_ACTIONS = Statement("""
    SELECT action, actor, note, redrive_id, at FROM dead_letter_actions
    WHERE dead_letter_id = :id::uuid ORDER BY id DESC LIMIT :limit::integer
""")
ACTIONS_MAX = 100


def list_newest_first(database: Database, selection: Selection, *, before: UUID | None, limit: int) -> list[DeadLetter]:
    """Return at most `limit` dead letters of the selection with ids below `before`."""
    parameters = parameters_of(selection)
    rows = database.run(_page(frozenset(parameters)), before=before or _LAST_ID, limit=limit, **parameters)
    return [letter_from_row(row) for row in rows]


def read_one(database: Database, id_: UUID, body_bytes_max: int) -> DeadLetterContent | None:
    """Return the dead letter with at most `body_bytes_max` of its body and its latest actions, None if unknown."""
    rows = database.run(_ONE, id=id_, body_bytes_max=body_bytes_max)
    if not rows:
        return None
    body, headers, deaths = rows[0][COLUMN_COUNT:]
    actions = database.run(_ACTIONS, id=id_, limit=ACTIONS_MAX)
    return DeadLetterContent(
        letter=letter_from_row(rows[0]),
        body=body,
        headers=headers,
        deaths=deaths,
        actions=[
            Action(action=action, actor=actor, note=note, redrive_id=redrive_id, at=at)
            for action, actor, note, redrive_id, at in actions
        ],
    )


def group(database: Database, selection: Selection, limit: int) -> list[Group]:
    """Return the largest groups of the selection, at most `limit`."""
    parameters = parameters_of(selection)
    return [
        Group(
            fingerprint=fingerprint,
            queue=queue,
            reason=reason,
            count=count,
            first_seen_at=first_seen_at,
            last_seen_at=last_seen_at,
            example_id=example_id,
        )
        for fingerprint, queue, reason, count, first_seen_at, last_seen_at, example_id in database.run(
            _groups(frozenset(parameters)), limit=limit, **parameters
        )
    ]


@cache
def _page(names: frozenset[str]) -> Statement:
    return Statement(f"""
        SELECT {COLUMNS} FROM dead_letters
        WHERE {condition(names)} AND id < :before::uuid
        ORDER BY id DESC LIMIT :limit::integer
    """)


@cache
def _groups(names: frozenset[str]) -> Statement:
    return Statement(f"""
        SELECT fingerprint, min(queue), min(reason), count(*), min(first_seen_at), max(last_seen_at),
               (array_agg(id ORDER BY id DESC))[1]
        FROM dead_letters WHERE {condition(names)}
        GROUP BY fingerprint ORDER BY count(*) DESC, fingerprint LIMIT :limit::integer
    """)
