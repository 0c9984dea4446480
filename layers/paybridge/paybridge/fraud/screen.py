"""Screen payments before they are charged, inside the transaction in which their charges begin."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.fraud.domain.counting import Key, Tally, count, keys_of, looks_of, totals_of
from paybridge.fraud.domain.evaluation import evaluate
from paybridge.fraud.domain.reading import WINDOW_SECONDS_MAX, read_stored_rules
from paybridge.fraud.domain.rules import Count, Facts, Per, RuleSet, ScreenedPayment, Screening, Window
from paybridge.fraud.ports import CustomerLook, PaymentHistory
from paybridge.fraud.store import counters, decisions, rule_sets

# A day longer than the longest window, for clocks that are wrong.
COUNTERS_KEPT = timedelta(seconds=WINDOW_SECONDS_MAX) + timedelta(days=1)
# Rule sets that are kept in memory. A version never changes.
RULE_SETS_MAX = 1024
# Above every id.
_ANY_ID = UUID(int=2**128 - 1)

_known: dict[tuple[UUID, int], RuleSet] = {}


class Judged(NamedTuple):
    """A candidate, what was known about it, and the decision."""

    candidate: ScreenedPayment
    facts: Facts
    screening: Screening


def find_rules(transaction: Transaction, merchant_ids: Collection[UUID]) -> dict[UUID, RuleSet]:
    """Return the present rules of those merchants that have some: one query, and one more for rules not known yet."""
    versions = rule_sets.present_versions(transaction, merchant_ids) if merchant_ids else {}
    return _rule_sets(transaction, versions) if versions else {}


def screen_payments(
    transaction: Transaction,
    candidates: Sequence[ScreenedPayment],
    sets: Mapping[UUID, RuleSet],
    now: datetime,
    *,
    history: PaymentHistory,
    review_expiry_seconds: float,
) -> dict[UUID, Screening]:
    """Decide about the payments by the rules of their merchants, and store every decision.

    Velocities count each payment in the order of `candidates`, those of this batch included. Their counters stay locked
    until the transaction ends, so two batches never count past each other. If the transaction is rolled back, nothing
    was counted.
    """
    owners = {merchant_id: str(merchant_id) for merchant_id in sets}
    keyed = [(candidate, keys_of(owners[candidate.merchant_id], candidate, Per)) for candidate in candidates]
    windows = {merchant_id: rule_set.windows for merchant_id, rule_set in sets.items()}
    counts, seen = count_all(transaction, keyed, windows, now + COUNTERS_KEPT)
    asking = [each for each in candidates if sets[each.merchant_id].asks_first_seen]
    new = new_customers(transaction, asking, seen, history, {each.payment_id: _ANY_ID for each in asking})
    judged = judge(candidates, counts, new, sets)
    rows = [_row(each, sets[each.candidate.merchant_id].version) for each in judged]
    decisions.add(transaction, rows, now, now + timedelta(seconds=review_expiry_seconds))
    return {each.candidate.payment_id: each.screening for each in judged}


def count_all(
    transaction: Transaction,
    keyed: Sequence[tuple[ScreenedPayment, Mapping[Per, Key]]],
    windows: Mapping[UUID, Sequence[Window]],
    kept_until: datetime,
) -> tuple[list[dict[Window, Count]], set[UUID]]:
    """Count the candidates in their order, and return what each window held before each of them.

    `windows` are those of each merchant. Also return the payments whose customer was counted before.
    """
    totals = totals_of(keyed)
    if not totals:
        return [{} for _ in keyed], set()
    existing = counters.lock(transaction, totals, kept_until)
    stored, points = counters.read(transaction, existing, looks_of(keyed, windows), keyed[0][0].at)
    tallies = {key: stored.get(key) or Tally() for key in totals}
    counts, seen = [], set()
    for candidate, keys in keyed:
        customer = keys.get(Per.CUSTOMER)
        if customer is not None and tallies[customer].count:
            seen.add(candidate.payment_id)
        counts.append(count(candidate, keys, windows[candidate.merchant_id], tallies, points))
    counters.write(transaction, tallies, existing, kept_until)
    return counts, seen


def new_customers(
    transaction: Transaction,
    candidates: Sequence[ScreenedPayment],
    seen: Collection[UUID],
    history: PaymentHistory,
    before: Mapping[UUID, UUID],
) -> dict[UUID, bool]:
    """Tell for each payment with a customer whether it is the customer's first.

    `seen` are the payments whose customer has a counter: only the others are looked for among past payments, those with
    ids below `before`.
    """
    looks = {
        each.payment_id: CustomerLook(each.merchant_id, each.customer, before[each.payment_id])
        for each in candidates
        if each.customer is not None and each.payment_id not in seen
    }
    known = history.known_customers(transaction, list(looks.values())) if looks else set()
    return {
        each.payment_id: each.payment_id in looks and looks[each.payment_id] not in known
        for each in candidates
        if each.customer is not None
    }


def judge(
    candidates: Sequence[ScreenedPayment],
    counts: Sequence[Mapping[Window, Count]],
    new: Mapping[UUID, bool],
    sets: Mapping[UUID, RuleSet],
) -> list[Judged]:
    """Evaluate the rules of each candidate's merchant."""
    judged = []
    for candidate, counted in zip(candidates, counts, strict=True):
        facts = Facts(counted, new.get(candidate.payment_id))
        judged.append(Judged(candidate, facts, evaluate(sets[candidate.merchant_id].rules, candidate, facts)))
    return judged


def _rule_sets(transaction: Transaction, versions: Mapping[UUID, int]) -> dict[UUID, RuleSet]:
    found = {each: known for each in versions.items() if (known := _known.get(each)) is not None}
    missing = [each for each in versions.items() if each not in found]
    if missing:
        for (merchant_id, version), rules in rule_sets.rules_of(transaction, missing).items():
            found[merchant_id, version] = RuleSet(version, read_stored_rules(rules))
        if len(_known) + len(missing) > RULE_SETS_MAX:
            _known.clear()
        _known.update(found)
    return {merchant_id: found[merchant_id, version] for merchant_id, version in versions.items()}


def _row(judged: Judged, version: int) -> dict[str, Any]:
    return {
        "payment_id": judged.candidate.payment_id,
        "merchant_id": judged.candidate.merchant_id,
        "rule_set_version": version,
        "decision": judged.screening.decision,
        "score": judged.screening.score,
        "rules": judged.screening.rules,
        "facts": judged.facts.members(judged.candidate.currency_places),
    }
