"""Reconciliations and their progress."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row
from paybridge.reconciliation.domain.run import Run, RunPhase, RunState

_COLUMNS = """
    id, day::text, state, pass, began_at, gateways::text[], gateway, phase, place, totals, matched, on_the_way,
    pending, difference, unexplained, actor, error, retry_at, failing_since, created_at, finished_at
"""

_FIND = Statement(f"SELECT {_COLUMNS} FROM reconciliations WHERE id = :id::uuid")

_FIND_DAY = Statement(f"SELECT {_COLUMNS} FROM reconciliations WHERE day = :day::date")

_LIST = Statement(f"""
    SELECT {_COLUMNS} FROM reconciliations WHERE reconciliations.day < coalesce(:before::date, 'infinity'::date)
    ORDER BY reconciliations.day DESC LIMIT :limit::integer
""")

# One process at a time saves what it did.
_LOCK = Statement(f"SELECT {_COLUMNS} FROM reconciliations WHERE id = :id::uuid FOR UPDATE SKIP LOCKED")

_LOCK_DAY = Statement(f"SELECT {_COLUMNS} FROM reconciliations WHERE day = :day::date FOR UPDATE")

_RUNNING = Statement("""
    SELECT id FROM reconciliations WHERE state = 'running' AND coalesce(retry_at <= :now::timestamptz, true)
    ORDER BY day DESC LIMIT :limit::integer
""")

_ADD = Statement("""
    INSERT INTO reconciliations (id, day, state, began_at, gateways, phase, actor, created_at)
    VALUES (:id::uuid, :day::date, 'running', :began_at::timestamptz, :gateways::text[], :phase::text, :actor::text,
            :created_at::timestamptz)
    ON CONFLICT (day) DO NOTHING
    RETURNING id
""")

_SAVE = Statement("""
    UPDATE reconciliations
    SET state = :state::text, pass = :pass::integer, began_at = :began_at::timestamptz, gateways = :gateways::text[],
        gateway = :gateway::smallint, phase = :phase::text, place = :place::json, totals = :totals::json,
        matched = :matched::bigint, on_the_way = :on_the_way::bigint, pending = :pending::bigint,
        difference = :difference::json, unexplained = :unexplained::json, actor = :actor::text, error = :error::text,
        retry_at = :retry_at::timestamptz, failing_since = :failing_since::timestamptz,
        finished_at = :finished_at::timestamptz
    WHERE id = :id::uuid
""")

# One row for each day. No index knows the members of an array that is read this rarely.
_HAS_GATEWAY = Statement("SELECT EXISTS (SELECT FROM reconciliations WHERE :gateway::text = ANY (gateways))")

_COUNT_FAILED = Statement("""
    SELECT count(*) FROM (
        SELECT state FROM reconciliations ORDER BY day DESC LIMIT :days::integer) AS newest
    WHERE state = 'failed'
""")


def find(database: Database, id_: UUID) -> Run | None:
    """Return a reconciliation, None if there is none of this id."""
    rows = database.run(_FIND, id=id_)
    return _from_row(rows[0]) if rows else None


def find_day(database: Database, day: date) -> Run | None:
    """Return the reconciliation of a day, None if it was not reconciled."""
    rows = database.run(_FIND_DAY, day=day.isoformat())
    return _from_row(rows[0]) if rows else None


def list_runs(database: Database, before: date | None, limit: int) -> list[Run]:
    """Return up to `limit` reconciliations of days before that one, the newest day first."""
    rows = database.run(_LIST, before=None if before is None else before.isoformat(), limit=limit)
    return [_from_row(row) for row in rows]


def lock(transaction: Transaction, id_: UUID) -> Run | None:
    """Lock a reconciliation that is running; None if it is not, or another transaction saves what it did."""
    rows = transaction.run(_LOCK, id=id_)
    run = _from_row(rows[0]) if rows else None
    return run if run is not None and run.state is RunState.RUNNING else None


def lock_day(transaction: Transaction, day: date) -> Run | None:
    """Lock the reconciliation of a day, None if there is none."""
    rows = transaction.run(_LOCK_DAY, day=day.isoformat())
    return _from_row(rows[0]) if rows else None


def running(database: Database, now: datetime, limit: int) -> list[UUID]:
    """Return the reconciliations that can go on now, the newest day first."""
    return [row[0] for row in database.run(_RUNNING, now=now, limit=limit)]


def count_failed(database: Database, days: int) -> int:
    """Return how many of the newest days failed."""
    count: int = database.run(_COUNT_FAILED, days=days)[0][0]
    return count


def has_gateway(database: Database, gateway: str) -> bool:
    """Tell whether any day was compared with this gateway."""
    return bool(database.run(_HAS_GATEWAY, gateway=gateway)[0][0])


def add(transaction: Transaction, run: Run) -> bool:
    """Add a reconciliation; return False if its day has one."""
    added = transaction.run(
        _ADD,
        id=run.id,
        day=run.day.isoformat(),
        began_at=run.began_at,
        gateways=_array(run.gateways),
        phase=str(run.phase),
        actor=run.actor,
        created_at=run.created_at,
    )
    return bool(added)


def save(transaction: Transaction, run: Run) -> None:
    """Save the progress of a reconciliation, which is locked."""
    transaction.run(
        _SAVE,
        id=run.id,
        state=str(run.state),
        **{"pass": run.pass_},
        began_at=run.began_at,
        gateways=_array(run.gateways),
        gateway=run.gateway,
        phase=str(run.phase),
        place=orjson.dumps(run.place).decode(),
        totals=orjson.dumps({side: _as_text(sums) for side, sums in run.totals.items()}).decode(),
        matched=run.matched,
        on_the_way=run.on_the_way,
        pending=run.pending,
        difference=None if run.difference is None else orjson.dumps(_as_text(run.difference)).decode(),
        unexplained=None if run.unexplained is None else orjson.dumps(_as_text(run.unexplained)).decode(),
        actor=run.actor,
        error=run.error,
        retry_at=run.retry_at,
        failing_since=run.failing_since,
        finished_at=run.finished_at,
    )


def _array(names: tuple[str, ...]) -> str:
    return "{" + ",".join(names) + "}"


def _as_text(sums: Mapping[str, int]) -> dict[str, str]:
    """Return the sums as text: there may be more digits than a number of JSON keeps."""
    return {currency: str(minor) for currency, minor in sums.items()}


def _as_numbers(sums: Any) -> dict[str, int]:
    return {currency: int(minor) for currency, minor in (sums or {}).items()}


def _from_row(row: Row) -> Run:
    names = [name.strip().partition("::")[0] for name in _COLUMNS.split(",")]
    values = dict(zip(names, row, strict=True))
    return Run(
        **{name: values[name] for name in ("id", "began_at", "gateway", "place", "matched", "on_the_way")},
        **{name: values[name] for name in ("pending", "actor", "error", "retry_at", "failing_since")},
        **{name: values[name] for name in ("created_at", "finished_at")},
        day=date.fromisoformat(values["day"]),
        state=RunState(values["state"]),
        pass_=values["pass"],
        gateways=tuple(values["gateways"]),
        phase=RunPhase(values["phase"]),
        totals={side: _as_numbers(sums) for side, sums in values["totals"].items()},
        difference=None if values["difference"] is None else _as_numbers(values["difference"]),
        unexplained=None if values["unexplained"] is None else _as_numbers(values["unexplained"]),
    )
