"""Audit the outbox each night, in turns, and keep what was found.

A night's audit begins where the last complete one ended, less an overlap. Its place is saved after each turn, so it
goes on after any interruption. Two turns at once do the same work, and one of them is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

from paybridge.audit import store
from paybridge.audit.domain import AuditOrder, NightlyAudit
from paybridge.audit.ports import AuditServices
from paybridge.audit.run import GAPS_MAX, begin, run_audit
from paybridge.core.ids import Ids

# By then the day of most merchants is over, and that of the Americas is quiet.
BEGINS_AT_UTC = time(2)
# What is audited again the next night: what changes within two days is seen with the payment that it belongs to.
OVERLAP = timedelta(days=2)
# After a long pause the rest is left to an audit by hand.
RANGE_MAX = timedelta(days=31)
KEPT = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class NightlyTurn:
    """What one turn has done: rows and subjects looked at, and the audit if it has ended."""

    checked: int = 0
    ended: NightlyAudit | None = None


def audit_nightly(services: AuditServices, ids: Ids, seconds_max: float) -> NightlyTurn:
    """Begin the audit of a night that is due, or go on with one, for so many seconds and a slice more.

    An audit ends early with GAPS_MAX gaps: so many have one cause. Raises DatabaseUnavailable and LockTimeout.
    """
    newest = store.find_newest(services.database)
    now = services.clock.now()
    if newest is None or newest.has_ended:
        if newest is not None and newest.created_at >= _last_beginning(now):
            return NightlyTurn()
        newest = _begun(services, ids, now)
    position = newest.page.position
    assert position is not None, "an audit without a position has ended"
    page = run_audit(services, newest.page.order, position, seconds_max)
    after = newest.with_page(page)
    if page.position is None or len(after.page.gaps) >= GAPS_MAX:
        after = replace(after, finished_at=services.clock.now())
    if not store.save(services.database, after, position):
        return NightlyTurn()
    return NightlyTurn(page.checked + page.payments + page.others, after if after.has_ended else None)


def find_last(services: AuditServices) -> NightlyAudit | None:
    """Return the newest audit that has ended, None if none has yet. Raises DatabaseUnavailable."""
    return store.find_last(services.database)


def _last_beginning(now: datetime) -> datetime:
    today = datetime.combine(now.date(), BEGINS_AT_UTC, now.tzinfo)
    return today if today <= now else today - timedelta(days=1)


def _begun(services: AuditServices, ids: Ids, now: datetime) -> NightlyAudit:
    complete = store.find_complete_end(services.database)
    begin_at = (complete or now) - OVERLAP
    order = AuditOrder(begin_at=max(begin_at, now - RANGE_MAX), end_at=now)
    audit = NightlyAudit.begin(ids.new(), order, begin(order), now)
    store.add(services.database, audit, delete_before=now - KEPT)
    return audit
