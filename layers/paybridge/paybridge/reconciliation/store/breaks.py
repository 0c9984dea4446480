"""Breaks, and what was done about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.database.wire import Row
from paybridge.reconciliation.domain.breaks import (
    Break,
    BreakAction,
    BreakSide,
    BreakState,
    BreakType,
    Direction,
    Leg,
    Resolution,
    StoredBreak,
    is_opened_again,
)
from paybridge.reconciliation.domain.run import BreakCounts

_COLUMNS = """
    b.id, b.reconciliation_id, b.gateway, b.type, b.leg, b.state, b.resolution, b.operation_id, b.payment_id,
    b.merchant_id, b.kind, b.direction, b.at_gateway, b.in_payments, b.in_ledger, b.effects, b.note, b.actor,
    b.found_at, b.changed_at
"""

# Those of a slice that other passes have found. A person may decide about them at this moment.
_LOCK_FOUND = Statement("""
    SELECT b.identity, b.id, b.state, b.resolution, b.effects, b.found_at, (
        SELECT count(*)::integer FROM reconciliation_break_actions a WHERE a.break_id = b.id AND a.action = 'open')
    FROM reconciliation_breaks b
    WHERE b.identity = ANY (ARRAY(SELECT json_array_elements_text(:identities::json)))
    ORDER BY b.id FOR UPDATE
""")

# A break that is found again keeps its id, its age and what was done about it.
_RECORD = Statement("""
    INSERT INTO reconciliation_breaks AS b (id, reconciliation_id, gateway, identity, pass, type, leg, state,
        resolution, operation_id, payment_id, merchant_id, kind, direction, at_gateway, in_payments, in_ledger, effects,
        note, actor, found_at, changed_at)
    SELECT id, :reconciliation_id::uuid, :gateway::text, identity, :pass::integer, type, leg, state, resolution,
           operation_id, payment_id, merchant_id, kind, direction, at_gateway, in_payments, in_ledger, effects, note,
           actor, :now::timestamptz, :now::timestamptz
    FROM json_to_recordset(:rows::json) AS row (id uuid, identity text, type text, leg text, state text,
        resolution text, operation_id uuid, payment_id uuid, merchant_id uuid, kind text, direction text,
        at_gateway json, in_payments json, in_ledger json, effects json, note text, actor text)
    ON CONFLICT (identity) DO UPDATE
    SET pass = excluded.pass, at_gateway = excluded.at_gateway, in_payments = excluded.in_payments,
        in_ledger = excluded.in_ledger, effects = excluded.effects, direction = excluded.direction
""")

_REOPEN = Statement("""
    WITH opened AS (
        UPDATE reconciliation_breaks
        SET state = 'open', resolution = NULL, actor = :actor::text, note = :note::text, changed_at = :now::timestamptz
        WHERE id = ANY (:ids::uuid[]) RETURNING id
    )
    INSERT INTO reconciliation_break_actions (break_id, number, at, action, actor, note)
    SELECT o.id, coalesce((SELECT max(a.number) FROM reconciliation_break_actions a WHERE a.break_id = o.id), 0) + 1,
           :now::timestamptz, 'open', :actor::text, :note::text
    FROM opened o
""")

# What the pass did not find again at the gateways that it compared has been put right. A break that was resolved or is
# void stays as it is.
_RESOLVE_GONE = Statement("""
    WITH gone AS (
        UPDATE reconciliation_breaks
        SET state = 'resolved', resolution = 'auto', actor = :actor::text, note = :note::text,
            changed_at = :now::timestamptz
        WHERE reconciliation_id = :reconciliation_id::uuid AND pass < :pass::integer
          AND gateway = ANY (:gateways::text[]) AND state IN ('open', 'explained')
        RETURNING id
    )
    INSERT INTO reconciliation_break_actions (break_id, number, at, action, resolution, actor, note)
    SELECT g.id, coalesce((SELECT max(a.number) FROM reconciliation_break_actions a WHERE a.break_id = g.id), 0) + 1,
           :now::timestamptz, 'resolve', 'auto', :actor::text, :note::text
    FROM gone g
    RETURNING break_id
""")

_SUM_EFFECTS = Statement("""
    SELECT e.key, sum(e.value::numeric)::text
    FROM reconciliation_breaks b, json_each_text(b.effects) AS e
    WHERE b.reconciliation_id = :reconciliation_id::uuid AND b.pass = :pass::integer
    GROUP BY e.key
""")

_COUNT = Statement("""
    SELECT state, type, count(*) FROM reconciliation_breaks
    WHERE reconciliation_id = :reconciliation_id::uuid GROUP BY state, type
""")

_COUNT_OPEN = Statement("""
    SELECT type, count(*)::integer
    FROM (SELECT type FROM reconciliation_breaks WHERE state = 'open' LIMIT :limit::integer) AS open GROUP BY type
""")

_STANDING = Statement("""
    SELECT wanted.id FROM unnest(:ids::uuid[]) AS wanted (id)
    WHERE EXISTS (
        SELECT FROM reconciliation_breaks b
        WHERE b.reconciliation_id = wanted.id AND b.state IN ('open', 'explained'))
""")

_LIST = Statement(f"""
    SELECT {_COLUMNS} FROM reconciliation_breaks b
    WHERE b.reconciliation_id = :reconciliation_id::uuid
      AND (b.reconciliation_id, b.id) > (:reconciliation_id::uuid, :after::uuid)
      AND coalesce(b.state = :state::text, true) AND coalesce(b.type = :type::text, true)
    ORDER BY b.reconciliation_id, b.id LIMIT :limit::integer
""")

_FIND = Statement(f"SELECT {_COLUMNS} FROM reconciliation_breaks b WHERE b.id = :id::uuid")

_LOCK = Statement(f"SELECT {_COLUMNS} FROM reconciliation_breaks b WHERE b.id = :id::uuid FOR UPDATE")

_CHANGE = Statement("""
    WITH changed AS (
        UPDATE reconciliation_breaks
        SET state = :state::text, resolution = :resolution::text, note = :note::text, actor = :actor::text,
            changed_at = :now::timestamptz
        WHERE id = :id::uuid RETURNING id
    )
    INSERT INTO reconciliation_break_actions (break_id, number, at, action, resolution, actor, note)
    SELECT c.id, coalesce((SELECT max(a.number) FROM reconciliation_break_actions a WHERE a.break_id = c.id), 0) + 1,
           :now::timestamptz, :action::text, :resolution::text, :actor::text, :note::text
    FROM changed c
""")

_ACTIONS = Statement("""
    SELECT at, action, resolution, actor, note FROM reconciliation_break_actions
    WHERE break_id = :id::uuid ORDER BY number
""")


_FOUND_AGAIN = "It was found again."


class _KnownBreak(NamedTuple):
    """What an earlier pass has recorded, and how often it was opened again since."""

    id: UUID
    state: str
    resolution: str | None
    effects: Mapping[str, str]
    found_at: datetime
    reopenings: int


@dataclass(frozen=True, slots=True)
class RecordedBreak:
    """A break that was recorded, under its id and since when.

    `is_opened`: it was not open before. `openings` counts how often it has become so.
    """

    id: UUID
    found: Break
    found_at: datetime
    is_opened: bool
    openings: int


def record(
    transaction: Transaction,
    reconciliation_id: UUID,
    gateway: str,
    pass_: int,
    breaks: Sequence[tuple[UUID, Break]],
    actor: str,
    now: datetime,
) -> list[RecordedBreak]:
    """Record what a slice found, each with an id for the case that it is new, and open again what had resolved."""
    if not breaks:
        return []
    by_identity = _by_identity(f"{reconciliation_id}|{gateway}", breaks)
    known = {
        identity: _KnownBreak(*row)
        for identity, *row in transaction.run(_LOCK_FOUND, identities=json_rows(by_identity))
    }
    rows = [_row(id_, identity, found, actor) for identity, (id_, found) in by_identity.items()]
    of_pass = {"reconciliation_id": reconciliation_id, "gateway": gateway, "pass": pass_}
    transaction.run(_RECORD, **of_pass, rows=json_rows(rows), now=now)
    recorded = [_recorded(known.get(identity), *new, now) for identity, new in by_identity.items()]
    if again := [each.id for each in recorded if each.is_opened and each.openings > 1]:
        transaction.run(_REOPEN, ids=uuid_array(again), actor=actor, note=_FOUND_AGAIN, now=now)
    return recorded


def _by_identity(of_gateway: str, breaks: Iterable[tuple[UUID, Break]]) -> dict[str, tuple[UUID, Break]]:
    """Return the breaks by their identities among all gateways and days.

    Those that are equal in it are one break more each.
    """
    counted: Counter[str] = Counter()
    found: dict[str, tuple[UUID, Break]] = {}
    for id_, each in breaks:
        counted[each.identity] += 1
        number = counted[each.identity]
        identity = f"{of_gateway}|{each.identity}"
        found[identity if number == 1 else f"{identity}|{number}"] = (id_, each)
    return found


def _recorded(known: _KnownBreak | None, new_id: UUID, found: Break, now: datetime) -> RecordedBreak:
    if known is None:
        return RecordedBreak(new_id, found, now, is_opened=not found.is_settled, openings=1)
    resolution = None if known.resolution is None else Resolution(known.resolution)
    effects = _numbers(known.effects)
    is_again = is_opened_again(BreakState(known.state), resolution, effects, found)
    openings = 1 + known.reopenings + is_again
    return RecordedBreak(known.id, found, known.found_at, is_opened=is_again, openings=openings)


def resolve_gone(
    transaction: Transaction,
    reconciliation_id: UUID,
    gateways: Iterable[str],
    pass_: int,
    actor: str,
    note: str,
    now: datetime,
) -> int:
    """Resolve the breaks of these gateways that this pass did not find again; return how many."""
    rows = transaction.run(
        _RESOLVE_GONE,
        reconciliation_id=reconciliation_id,
        gateways="{" + ",".join(gateways) + "}",
        **{"pass": pass_},
        actor=actor,
        note=note,
        now=now,
    )
    return len(rows)


def sum_effects(transaction: Transaction, reconciliation_id: UUID, pass_: int) -> dict[str, int]:
    """Return per currency how much of the difference the breaks of this pass make up, as the database adds them."""
    rows = transaction.run(_SUM_EFFECTS, reconciliation_id=reconciliation_id, **{"pass": pass_})
    return {currency: int(text) for currency, text in rows}


def count(database: Database, reconciliation_id: UUID) -> BreakCounts:
    """Count the breaks of a reconciliation."""
    by_state: Counter[str] = Counter()
    by_type: Counter[str] = Counter()
    for state, type_, number in database.run(_COUNT, reconciliation_id=reconciliation_id):
        by_state[state] += number
        if state in {BreakState.OPEN, BreakState.EXPLAINED}:
            by_type[type_] += number
    return BreakCounts(dict(sorted(by_state.items())), dict(sorted(by_type.items())))


def count_open(database: Database, limit: int) -> dict[BreakType, int]:
    """Return how many breaks of all days are open, by their types; they are counted up to `limit` in all."""
    found = {BreakType(type_): number for type_, number in database.run(_COUNT_OPEN, limit=limit)}
    return {type_: found.get(type_, 0) for type_ in BreakType}


def with_standing(database: Database, reconciliation_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the reconciliations that have breaks that are open or explained."""
    return {row[0] for row in database.run(_STANDING, ids=uuid_array(reconciliation_ids))}


def list_breaks(
    database: Database,
    reconciliation_id: UUID,
    after: UUID,
    limit: int,
    *,
    state: BreakState | None = None,
    type_: BreakType | None = None,
) -> list[StoredBreak]:
    """Return up to `limit` breaks of a reconciliation above an id, oldest first."""
    rows = database.run(
        _LIST,
        reconciliation_id=reconciliation_id,
        after=after,
        limit=limit,
        state=None if state is None else str(state),
        type=None if type_ is None else str(type_),
    )
    return [_from_row(row) for row in rows]


def find(database: Database, id_: UUID) -> StoredBreak | None:
    """Return a break, None if there is none of this id."""
    rows = database.run(_FIND, id=id_)
    return _from_row(rows[0]) if rows else None


def lock(transaction: Transaction, id_: UUID) -> StoredBreak | None:
    """Lock a break, None if there is none of this id."""
    rows = transaction.run(_LOCK, id=id_)
    return _from_row(rows[0]) if rows else None


def change(transaction: Transaction, changed: StoredBreak, action: str, now: datetime) -> None:
    """Save the state of a break, which is locked, and what was done."""
    transaction.run(
        _CHANGE,
        id=changed.id,
        state=str(changed.state),
        resolution=None if changed.resolution is None else str(changed.resolution),
        note=changed.note,
        actor=changed.actor,
        action=action,
        now=now,
    )


def actions(database: Database, id_: UUID) -> list[BreakAction]:
    """Return what was done about a break, oldest first."""
    return [BreakAction(*row) for row in database.run(_ACTIONS, id=id_)]


def _row(id_: UUID, identity: str, found: Break, actor: str) -> dict[str, Any]:
    return {
        "id": id_,
        "identity": identity,
        "type": found.type,
        "leg": found.leg,
        "state": BreakState.RESOLVED if found.is_settled else BreakState.OPEN,
        "resolution": Resolution.AUTO if found.is_settled else None,
        "operation_id": found.operation_id,
        "payment_id": found.payment_id,
        "merchant_id": found.merchant_id,
        "kind": found.kind,
        "direction": found.direction,
        "at_gateway": _side(found.gateway),
        "in_payments": _side(found.payments),
        "in_ledger": _side(found.ledger),
        "effects": {currency: str(minor) for currency, minor in found.effects.items()},
        "note": found.note,
        "actor": actor if found.is_settled else None,
    }


def _numbers(effects: Mapping[str, str]) -> dict[str, int]:
    return {currency: int(minor) for currency, minor in effects.items()}


def _side(side: BreakSide | None) -> dict[str, Any] | None:
    return None if side is None else asdict(side)


def _side_of(value: Mapping[str, Any] | None) -> BreakSide | None:
    if value is None:
        return None
    at = value["at"]
    return BreakSide(**{**value, "at": None if at is None else datetime.fromisoformat(at)})


def _from_row(row: Row) -> StoredBreak:
    values: Iterable[Any] = row
    (id_, run_id, gateway, type_, leg, state, resolution, operation_id, payment_id, merchant_id, kind, direction,
     at_gateway, in_payments, in_ledger, effects, note, actor, found_at, changed_at) = values  # fmt: skip
    found = Break(
        type=BreakType(type_),
        leg=Leg(leg),
        operation_id=operation_id,
        payment_id=payment_id,
        merchant_id=merchant_id,
        kind=kind,
        gateway=_side_of(at_gateway),
        payments=_side_of(in_payments),
        ledger=_side_of(in_ledger),
        direction=None if direction is None else Direction(direction),
        effects=_numbers(effects),
    )
    return StoredBreak(
        id=id_,
        reconciliation_id=run_id,
        gateway_name=gateway,
        found=found,
        state=BreakState(state),
        resolution=None if resolution is None else Resolution(resolution),
        note=note,
        actor=actor,
        found_at=found_at,
        changed_at=changed_at,
    )
