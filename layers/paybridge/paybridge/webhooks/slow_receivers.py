"""Remember receivers that fail or are slow, and forget those that have recovered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from paybridge.database.database import Transaction
from paybridge.webhooks.attempts import SentAttempt
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.lanes import Lane
from paybridge.webhooks.store import receivers
from paybridge.webhooks.store.receivers import FaultLimits, Receiver, ReceiverFaults

# A receiver is slow after one late answer, one timeout or this many failures in a row, until it answers promptly. Its
# deliveries take the slow lane, so it can show there that it is prompt again; the time only clears up records.
#
# Beyond so many failures in a row each timeout makes its deliveries wait. Otherwise a receiver that hangs would keep
# the slow lane busy for its deadline in batch after batch, as long as it has deliveries.
LIMITS = FaultLimits(slow_failures=5, slow_seconds=24 * 3600.0, wait_failures=25, wait_seconds=30.0)


def record_receivers(transaction: Transaction, answers: Sequence[SentAttempt], lane: Lane) -> None:
    """Add faults to the record of their receivers; delete the record of receivers that answered well and promptly."""
    failures: Counter[Receiver] = Counter()
    slow: set[Receiver] = set()
    waiting: set[Receiver] = set()
    recovered: set[Receiver] = set()
    for answer in answers:
        receiver = answer.attempt.receiver
        if not is_prompt(answer.result, lane):
            slow.add(receiver)
        if not _is_success(answer.result):
            failures[receiver] += 1
            waiting |= {receiver} if answer.result.error == "timeout" and not lane.is_fast else set()
        elif answer.attempt.has_record and is_prompt(answer.result, lane):
            recovered.add(receiver)
    faulty = slow | failures.keys()
    if recovered - faulty:
        receivers.forget_receivers(transaction, recovered - faulty)
    if faulty:
        # Sorted, so that two transactions lock them in the same order.
        noted = [
            ReceiverFaults(receiver, failures[receiver], receiver in slow, receiver in waiting)
            for receiver in sorted(faulty)
        ]
        receivers.note_faults(transaction, noted, LIMITS)


def is_prompt(result: SendResult, lane: Lane) -> bool:
    """Return whether the attempt, well or not, ended soon enough for the fast lane."""
    return result.error != "timeout" and result.latency_ms < lane.prompt_seconds * 1000


def _is_success(result: SendResult) -> bool:
    """Return whether the receiver took the webhook, or properly refused further ones."""
    status = result.status_code
    return status is not None and (200 <= status <= 299 or status == 410)
