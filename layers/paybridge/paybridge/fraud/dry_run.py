"""Find out what a rule set would have decided about past payments.

A dry run is worked on in slices, each one transaction, by the requests that ask for it and by the jobs function. So a
request does bounded work, and a dry run ends even if no request asks for it. It counts velocities as screening does, in
the same tables and with the same code, under its own id.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from paybridge.core.errors import LockTimeout
from paybridge.database.database import Transaction
from paybridge.fraud.domain.counting import keys_of
from paybridge.fraud.domain.dry_run import DryRun, DryRunState, after_slice, counted_from, in_order_of_time
from paybridge.fraud.domain.reading import read_stored_rules
from paybridge.fraud.domain.rules import Per, RuleSet, ScreenedPayment, Screening
from paybridge.fraud.ports import FraudServices
from paybridge.fraud.screen import count_all, judge, new_customers
from paybridge.fraud.store import counters, dry_runs

# Payments of one slice, which takes a fraction of a second.
SLICE_PAYMENTS = 1000
# How long a request works on a dry run before it answers with the progress.
REQUEST_SECONDS_MAX = 1.0
# How long the jobs function works on dry runs in each minute.
JOB_SECONDS_MAX = 10.0
RUNNING_MAX = 100
# A dry run that is not finished by then is canceled: its counters are deleted a day after they were last used.
UNFINISHED_KEPT = timedelta(days=1)
KEPT = timedelta(days=30)
TRIES_MAX = 10
# Points deleted in one transaction, and how long the jobs function deletes in each minute.
CLEANED_POINTS = 5_000
CLEAN_SECONDS_MAX = 5.0


def start_dry_run(
    services: FraudServices,
    merchant_id: UUID,
    rules: list[dict[str, Any]],
    begin_at: datetime,
    end_at: datetime,
) -> DryRun:
    """Begin a dry run of these rules, already validated, in place of the merchant's unfinished one; do the first part.

    It is about payments created from `begin_at` on and before `end_at`, but never after this moment. Raises
    DatabaseUnavailable and LockTimeout.
    """
    windows = RuleSet(0, read_stored_rules(rules)).windows
    since = counted_from(begin_at, windows)
    for _ in range(TRIES_MAX):
        now = services.clock.now()
        end_at = max(begin_at, min(end_at, now))
        with services.database.transaction() as transaction:
            counts = services.history.count(transaction, merchant_id, since, begin_at, end_at)
            dry_run = DryRun(
                id=services.ids.new(),
                merchant_id=merchant_id,
                rules=rules,
                counted_from=since,
                begin_at=begin_at,
                end_at=end_at,
                state=DryRunState.RUNNING,
                created_at=now,
                warm_up=counts.earlier,
                total=counts.wanted,
            )
            is_added = dry_runs.add(transaction, dry_run)
        if is_added:
            return work_on(services, dry_run.id, REQUEST_SECONDS_MAX) or dry_run
    raise LockTimeout("other requests began dry runs at the same time")


def read_dry_run(services: FraudServices, merchant_id: UUID, dry_run_id: UUID) -> DryRun | None:
    """Return the merchant's dry run after some more work on it; None if there is none. Raises DatabaseUnavailable."""
    dry_run = dry_runs.find(services.database, merchant_id, dry_run_id)
    if dry_run is None or dry_run.state is not DryRunState.RUNNING:
        return dry_run
    return work_on(services, dry_run_id, REQUEST_SECONDS_MAX) or dry_runs.find(
        services.database, merchant_id, dry_run_id
    )


def work_on_dry_runs(services: FraudServices) -> int:
    """Work on the dry runs of all merchants for JOB_SECONDS_MAX; return how many ended. Raises DatabaseUnavailable."""
    ends_at = time.monotonic() + JOB_SECONDS_MAX
    finished = 0
    for dry_run_id in dry_runs.running(services.database, RUNNING_MAX):
        seconds_left = ends_at - time.monotonic()
        if seconds_left <= 0:
            break
        worked = work_on(services, dry_run_id, seconds_left)
        finished += worked is not None and worked.state is DryRunState.FINISHED
    return finished


def clean_up(services: FraudServices) -> int:
    """Delete old counters and dry runs; return how many points of counters were deleted. Raises DatabaseUnavailable."""
    now = services.clock.now()
    dry_runs.expire(services.database, now, unfinished_before=now - UNFINISHED_KEPT, kept_from=now - KEPT)
    ends_at = time.monotonic() + CLEAN_SECONDS_MAX
    deleted = 0
    while True:
        with services.database.transaction() as transaction:
            batch = counters.delete_old(transaction, now, CLEANED_POINTS)
        deleted += batch
        if batch < CLEANED_POINTS or time.monotonic() >= ends_at:
            return deleted


def work_on(
    services: FraudServices, dry_run_id: UUID, seconds_max: float, monotonic: Callable[[], float] = time.monotonic
) -> DryRun | None:
    """Do slices of a dry run until it ends or the seconds are over, at least one.

    Return the dry run afterwards, None if it is not running or another process works on it.
    """
    ends_at = monotonic() + seconds_max
    worked: DryRun | None = None
    while True:
        with services.database.transaction() as transaction:
            dry_run = dry_runs.lock(transaction, dry_run_id)
            if dry_run is None:
                return worked
            worked = _do_slice(services, transaction, dry_run)
            dry_runs.save(transaction, worked)
        if worked.state is not DryRunState.RUNNING or monotonic() >= ends_at:
            return worked


def _do_slice(services: FraudServices, transaction: Transaction, dry_run: DryRun) -> DryRun:
    found = services.history.read(
        transaction, dry_run.merchant_id, dry_run.position, dry_run.counted_from, dry_run.end_at, SLICE_PAYMENTS
    )
    candidates = in_order_of_time(found, dry_run.position_at)
    is_wanted = {each.payment_id: each.at >= dry_run.begin_at for each in found}
    now = services.clock.now()
    decided = _decide(services, transaction, dry_run, candidates, now)
    wanted = [each for each in decided if is_wanted[each[0].payment_id]]
    return after_slice(dry_run, candidates, wanted, is_last=len(found) < SLICE_PAYMENTS, now=now)


def _decide(
    services: FraudServices, transaction: Transaction, dry_run: DryRun, candidates: list[ScreenedPayment], now: datetime
) -> list[tuple[ScreenedPayment, Screening]]:
    """Decide about the candidates as screening would have, in their order."""
    rule_set = RuleSet(0, read_stored_rules(dry_run.rules))
    pers = {window.per for window in rule_set.windows} | ({Per.CUSTOMER} if rule_set.asks_first_seen else set())
    owner_id = str(dry_run.id)
    keyed = [(candidate, keys_of(owner_id, candidate, pers)) for candidate in candidates]
    counts, seen = count_all(transaction, keyed, {dry_run.merchant_id: rule_set.windows}, now + 2 * UNFINISHED_KEPT)
    asking = candidates if rule_set.asks_first_seen else []
    before = {each.payment_id: each.payment_id for each in asking}
    new = new_customers(transaction, asking, seen, services.history, before)
    judged = judge(candidates, counts, new, {dry_run.merchant_id: rule_set})
    return [(each.candidate, each.screening) for each in judged]
