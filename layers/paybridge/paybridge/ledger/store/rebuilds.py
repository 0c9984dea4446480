"""Rebuilds, their progress and the hashes of their accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.database.wire import Row
from paybridge.ledger.domain.proof import Digest
from paybridge.ledger.domain.rebuild import LogPlace, Rebuild, RebuildPhase, RebuildState

_COLUMNS = """
    id, book, live_book, rules_version, state, phase, actor, created_at, until_xid::text, wait_seconds, switch_wanted,
    from_xid::text, at_merchant, at_xid::text, at_event, journals_expected, events, journals, unreadable,
    first_unreadable, compared_until, compared, waiting_since, differences, first_difference, equal, live_hash,
    rebuilt_hash, finished_at, failure, canceled_by, switched_at, switched_by, switch_reason, switch_refusal
"""
_NAMES = tuple(name.strip().partition("::")[0] for name in _COLUMNS.split(","))
_SAVED = {
    "state": "text",
    "phase": "text",
    "until_xid": "xid8",
    "from_xid": "xid8",
    "at_merchant": "uuid",
    "at_xid": "xid8",
    "at_event": "uuid",
    "journals_expected": "bigint",
    "events": "bigint",
    "journals": "bigint",
    "unreadable": "bigint",
    "first_unreadable": "uuid",
    "compared_until": "uuid",
    "compared": "bigint",
    "wait_seconds": "integer",
    "waiting_since": "timestamptz",
    "differences": "bigint",
    "first_difference": "json",
    "equal": "boolean",
    "live_hash": "text",
    "rebuilt_hash": "text",
    "finished_at": "timestamptz",
    "failure": "text",
    "canceled_by": "text",
    "switched_at": "timestamptz",
    "switched_by": "text",
    "switch_reason": "text",
    "switch_refusal": "text",
}

_ADD = Statement("""
    INSERT INTO ledger.rebuilds (id, book, live_book, rules_version, state, phase, actor, created_at, until_xid,
                                 wait_seconds, switch_wanted, journals_expected)
    VALUES (:id::uuid, :book::smallint, :live_book::smallint, :rules_version::integer, 'running', 'building',
            :actor::text, :created_at::timestamptz, :until_xid::xid8, :wait_seconds::integer, :switch_wanted::boolean,
            :journals_expected::bigint)
""")

_FIND = Statement(f"SELECT {_COLUMNS} FROM ledger.rebuilds WHERE id = :id::uuid")

# Newest first: ids are UUIDv7.
_LIST = Statement(f"""
    SELECT {_COLUMNS} FROM ledger.rebuilds
    WHERE :before::uuid IS NULL OR id < :before::uuid ORDER BY id DESC LIMIT :limit::integer
""")

# One worker at a time. Another one goes on without waiting.
_LOCK = Statement(f"""
    SELECT {_COLUMNS} FROM ledger.rebuilds WHERE id = :id::uuid FOR UPDATE SKIP LOCKED
""")
_LOCK_PATIENTLY = Statement(f"SELECT {_COLUMNS} FROM ledger.rebuilds WHERE id = :id::uuid FOR UPDATE")

_RUNNING = Statement("""
    SELECT id FROM ledger.rebuilds WHERE state = 'running' ORDER BY created_at, id LIMIT :limit::integer
""")

_LOCK_COUNT = Statement("SELECT pg_advisory_xact_lock(hashtextextended('ledger.rebuilds', 0))")
_COUNT_RUNNING = Statement("SELECT count(*) FROM ledger.rebuilds WHERE state = 'running'")

_OF_BOOK = Statement("""
    SELECT id FROM ledger.rebuilds WHERE state = 'running' AND :book::smallint IN (book, live_book)
""")

_SAVE = Statement(f"""
    UPDATE ledger.rebuilds SET {", ".join(f"{name} = :{name}::{type_}" for name, type_ in _SAVED.items())}
    WHERE id = :id::uuid
""")

_FIND_DIGESTS = Statement("""
    SELECT name, live_hash, live_entries, rebuilt_hash, rebuilt_entries FROM ledger.rebuild_accounts
    WHERE rebuild_id = :id::uuid AND name = ANY (
        SELECT json_array_elements_text(:names::json))
""")

_SAVE_DIGESTS = Statement("""
    INSERT INTO ledger.rebuild_accounts (rebuild_id, name, live_hash, live_entries, rebuilt_hash, rebuilt_entries)
    SELECT :id::uuid, new.name, decode(new.live_hash, 'hex'), new.live_entries, decode(new.rebuilt_hash, 'hex'),
           new.rebuilt_entries
    FROM json_to_recordset(:rows::json) AS new (name text, live_hash text, live_entries bigint, rebuilt_hash text,
                                                rebuilt_entries bigint)
    ON CONFLICT (rebuild_id, name) DO UPDATE
    SET live_hash = excluded.live_hash, live_entries = excluded.live_entries, rebuilt_hash = excluded.rebuilt_hash,
        rebuilt_entries = excluded.rebuilt_entries
""")

_FORGET_DIGESTS = Statement("DELETE FROM ledger.rebuild_accounts WHERE rebuild_id = :id::uuid")

_READ_DIGESTS = Statement("""
    SELECT name, live_hash, live_entries, rebuilt_hash, rebuilt_entries FROM ledger.rebuild_accounts
    WHERE rebuild_id = :id::uuid AND name > :after::text ORDER BY name LIMIT :limit::integer
""")
_PAGE = 1000


class AccountDigests(NamedTuple):
    """The hashes of one account in the live and in the rebuilt book."""

    live: Digest
    rebuilt: Digest


def add(transaction: Transaction, rebuild: Rebuild) -> None:
    """Add a rebuild that begins."""
    transaction.run(
        _ADD,
        id=rebuild.id,
        book=rebuild.book,
        live_book=rebuild.live_book,
        rules_version=rebuild.rules_version,
        actor=rebuild.actor,
        created_at=rebuild.created_at,
        until_xid=str(rebuild.until_xid),
        wait_seconds=rebuild.wait_seconds,
        switch_wanted=rebuild.switch_wanted,
        journals_expected=rebuild.journals_expected,
    )


def find(database: Database, rebuild_id: UUID) -> Rebuild | None:
    """Return a rebuild, None if there is none."""
    rows = database.run(_FIND, id=rebuild_id)
    return _from_row(rows[0]) if rows else None


def list_newest(database: Database, before: UUID | None, limit: int) -> list[Rebuild]:
    """Return rebuilds with ids below `before`, which None does not bound, newest first."""
    return [_from_row(row) for row in database.run(_LIST, before=before, limit=limit)]


def lock_running(transaction: Transaction, rebuild_id: UUID) -> Rebuild | None:
    """Lock a rebuild that is running; None if it is not, or another transaction works on it."""
    rows = transaction.run(_LOCK, id=rebuild_id)
    rebuild = _from_row(rows[0]) if rows else None
    return rebuild if rebuild is not None and rebuild.state is RebuildState.RUNNING else None


def lock(transaction: Transaction, rebuild_id: UUID) -> Rebuild | None:
    """Lock a rebuild once the transaction that works on it has ended; None if there is none."""
    rows = transaction.run(_LOCK_PATIENTLY, id=rebuild_id)
    return _from_row(rows[0]) if rows else None


def running(database: Database, limit: int) -> list[UUID]:
    """Return the rebuilds that are not finished, the oldest first."""
    return [row[0] for row in database.run(_RUNNING, limit=limit)]


def count_running(transaction: Transaction) -> int:
    """Return how many rebuilds are not finished. No other one begins until this transaction ends."""
    transaction.run(_LOCK_COUNT)
    return int(transaction.run(_COUNT_RUNNING)[0][0])


def is_in_use(transaction: Transaction, book: int) -> bool:
    """Tell whether a rebuild is running that fills this book, or compares it with another."""
    return bool(transaction.run(_OF_BOOK, book=book))


def save(transaction: Transaction, rebuild: Rebuild) -> None:
    """Save the progress of a rebuild, which is locked."""
    values: dict[str, Any] = {name: getattr(rebuild, name) for name in _SAVED if not name.startswith("at_")}
    position = rebuild.position
    values |= {"at_merchant": position.merchant_id, "at_xid": str(position.xid), "at_event": position.event_id}
    values |= {"state": str(rebuild.state), "phase": str(rebuild.phase)}
    values |= {"from_xid": str(rebuild.from_xid), "until_xid": str(rebuild.until_xid)}
    difference = rebuild.first_difference
    values["first_difference"] = None if difference is None else orjson.dumps(difference).decode()
    transaction.run(_SAVE, id=rebuild.id, **values)


def find_digests(transaction: Transaction, rebuild_id: UUID, names: Collection[str]) -> dict[str, AccountDigests]:
    """Return the hashes so far of these accounts, by their names. An account without entries is left out."""
    rows = transaction.run(_FIND_DIGESTS, id=rebuild_id, names=orjson.dumps(list(names)).decode())
    return {row[0]: _digests(row) for row in rows}


def save_digests(transaction: Transaction, rebuild_id: UUID, digests: Mapping[str, AccountDigests]) -> None:
    """Save the hashes of these accounts."""
    rows = json_rows(
        {
            "name": name,
            "live_hash": of_account.live.hash.hex(),
            "live_entries": of_account.live.entries,
            "rebuilt_hash": of_account.rebuilt.hash.hex(),
            "rebuilt_entries": of_account.rebuilt.entries,
        }
        for name, of_account in digests.items()
    )
    transaction.run(_SAVE_DIGESTS, id=rebuild_id, rows=rows)


def forget_digests(transaction: Transaction, rebuild_id: UUID) -> None:
    """Delete all hashes of a rebuild that has no use for them any more."""
    transaction.run(_FORGET_DIGESTS, id=rebuild_id)


def all_digests(transaction: Transaction, rebuild_id: UUID) -> Iterator[tuple[str, AccountDigests]]:
    """Yield the hashes of every account in the order of their names."""
    after = ""
    while True:
        rows = transaction.run(_READ_DIGESTS, id=rebuild_id, after=after, limit=_PAGE)
        for row in rows:
            yield row[0], _digests(row)
        if len(rows) < _PAGE:
            return
        after = rows[-1][0]


def _digests(row: Row) -> AccountDigests:
    _, live_hash, live_entries, rebuilt_hash, rebuilt_entries = row
    return AccountDigests(Digest(live_hash, live_entries), Digest(rebuilt_hash, rebuilt_entries))


def _from_row(row: Row) -> Rebuild:
    values = dict(zip(_NAMES, row, strict=True))
    position = LogPlace(values.pop("at_merchant"), int(values.pop("at_xid")), values.pop("at_event"))
    values |= {"state": RebuildState(values["state"]), "phase": RebuildPhase(values["phase"])}
    values |= {"until_xid": int(values["until_xid"]), "from_xid": int(values["from_xid"])}
    return Rebuild(**values, position=position)
