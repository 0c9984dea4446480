"""Prove that a rebuilt book equals the live one, for every event before a cut-off.

Both books are compared in the order of their events. Each part is read by one statement, so both sides are of one
moment. Where their entries differ, the journals say why: an event after the cut-off does not count, and an event that
the live book may still get is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.ledger.carry_corrections import carry_corrections
from paybridge.ledger.domain.accounts import AccountKey, account_name
from paybridge.ledger.domain.proof import (
    Difference,
    DifferenceKind,
    TotalHash,
    add_entries,
    begin_digest,
    entries_of,
    find_differences,
)
from paybridge.ledger.domain.rebuild import Rebuild, RebuildPhase
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.store import comparing, event_log, rebuilds
from paybridge.ledger.store.comparing import BothBooks, BothJournals, Part
from paybridge.ledger.store.rebuilds import AccountDigests

# Journals of one transaction, which takes about half a second.
SLICE_JOURNALS = 10_000
_ID_MAX = UUID(int=2**128 - 1)


def prove_slice(services: RebuildServices, transaction: Transaction, rebuild: Rebuild) -> Rebuild:
    """Compare the next part of both books. Return the rebuild as it is if the live book lacks events it may yet get."""
    end = comparing.find_end(transaction, rebuild.live_book, rebuild.book, rebuild.compared_until, SLICE_JOURNALS)
    part = Part(rebuild.live_book, rebuild.book, rebuild.compared_until, end or _ID_MAX)
    entries = comparing.read_entries(transaction, part)
    found: Sequence[Difference] = ()
    is_missing = False
    if entries.live != entries.rebuilt:
        journals = comparing.read_journals(transaction, part)
        if _has_corrections(journals) and (carried := carry_corrections(transaction, rebuild.live_book, rebuild.book)):
            return replace(rebuild, journals=rebuild.journals + carried)
        found, later = _without_later(transaction, rebuild, [*find_differences(*journals)])
        is_missing = any(each.kind is DifferenceKind.MISSING for each in found)
        if is_missing and not _has_waited_enough(services, rebuild):
            return replace(rebuild, waiting_since=rebuild.waiting_since or services.clock.now())
        # Made of what was compared: the live book may have got more by now.
        entries = BothBooks(*(entries_of(each, without=later) for each in journals))
    _hash(transaction, rebuild, entries)
    compared = replace(
        rebuild,
        compared_until=part.until,
        waiting_since=None,
        # What is missing after the wait is lost. To wait for everything that is lost could take days.
        wait_seconds=0 if is_missing else rebuild.wait_seconds,
        compared=rebuild.compared + comparing.count_part(transaction, part),
        differences=rebuild.differences + len(found),
        first_difference=rebuild.first_difference or (found[0].view() if found else None),
    )
    return compared if end is not None else _conclude(services, transaction, compared)


def _without_later(
    transaction: Transaction, rebuild: Rebuild, found: Sequence[Difference]
) -> tuple[list[Difference], frozenset[UUID]]:
    """Return the differences without events after the cut-off, which only the live book can have, and those events."""
    extra = [each.key.event_id for each in found if each.kind is DifferenceKind.EXTRA]
    later = event_log.later_events(transaction, extra, rebuild.until_xid)
    return [each for each in found if each.key.event_id not in later], later


def _has_corrections(journals: BothJournals) -> bool:
    return any(key.rule < 0 for key in journals.live)


def _has_waited_enough(services: RebuildServices, rebuild: Rebuild) -> bool:
    """Tell whether the live book had time enough for everything before the cut-off."""
    if rebuild.waiting_since is None:
        return rebuild.wait_seconds == 0
    return services.clock.now() - rebuild.waiting_since >= timedelta(seconds=rebuild.wait_seconds)


def _hash(transaction: Transaction, rebuild: Rebuild, entries: BothBooks) -> None:
    """Continue the hashes of all accounts that have entries in this part."""
    accounts = {account_name(key): key for key in entries.live.keys() | entries.rebuilt.keys()}
    if not accounts:
        return
    before = rebuilds.find_digests(transaction, rebuild.id, accounts)
    after = {text: _continued(before.get(text) or _begin(key), key, entries) for text, key in accounts.items()}
    rebuilds.save_digests(transaction, rebuild.id, after)


def _begin(key: AccountKey) -> AccountDigests:
    digest = begin_digest(account_name(key))
    return AccountDigests(digest, digest)


def _continued(before: AccountDigests, key: AccountKey, entries: BothBooks) -> AccountDigests:
    live, rebuilt = _of(entries.live, key), _of(entries.rebuilt, key)
    after = add_entries(before.live, live)
    if before.live == before.rebuilt and live == rebuilt:
        # Equal bytes after equal bytes have an equal hash.
        return AccountDigests(after, after)
    return AccountDigests(after, add_entries(before.rebuilt, rebuilt))


def _of(entries: Mapping[AccountKey, bytes], key: AccountKey) -> bytes:
    return entries.get(key, b"")


def _conclude(services: RebuildServices, transaction: Transaction, rebuild: Rebuild) -> Rebuild:
    """Return the rebuild with its proof: the hash over all accounts of each book."""
    live, rebuilt = TotalHash(), TotalHash()
    for name, digests in rebuilds.all_digests(transaction, rebuild.id):
        live.add(name, digests.live)
        rebuilt.add(name, digests.rebuilt)
    concluded = replace(
        rebuild,
        live_hash=live.hexdigest(),
        rebuilt_hash=rebuilt.hexdigest(),
        equal=rebuild.differences == 0 and live.hexdigest() == rebuilt.hexdigest(),
    )
    if rebuild.switch_wanted and concluded.equal:
        return replace(concluded, phase=RebuildPhase.SWITCHING)
    return concluded.finished(services.clock.now())
