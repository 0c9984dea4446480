"""Remember receivers that fail, and forget those that have recovered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from paybridge.database.database import Transaction
from paybridge.webhooks.attempts import SentAttempt
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.lanes import Lane
from paybridge.webhooks.store import receivers
from paybridge.webhooks.store.receivers import Receiver, ReceiverFailures

# A receiver is slow for this long after one timeout or this many failures in a row, or until it answers promptly.
FAILURES_MAX = 5
SLOW_SECONDS = 300.0


def record_receivers(transaction: Transaction, answers: Sequence[SentAttempt], lane: Lane) -> None:
    """Add failures to the record of their receivers; delete the record of receivers that answered well and promptly."""
    failures: Counter[Receiver] = Counter()
    timed_out: set[Receiver] = set()
    recovered: set[Receiver] = set()
    for answer in answers:
        receiver = answer.attempt.receiver
        if not _is_success(answer.result):
            failures[receiver] += 1
            timed_out |= {receiver} if answer.result.error == "timeout" else set()
        elif answer.attempt.has_record and answer.result.latency_ms < lane.prompt_seconds * 1000:
            recovered.add(receiver)
    if recovered - failures.keys():
        receivers.forget_receivers(transaction, recovered - failures.keys())
    if failures:
        # Sorted, so that two transactions lock them in the same order.
        noted = [ReceiverFailures(receiver, failures[receiver], receiver in timed_out) for receiver in sorted(failures)]
        receivers.note_failures(transaction, noted, FAILURES_MAX, SLOW_SECONDS)


def _is_success(result: SendResult) -> bool:
    """Return whether the receiver took the webhook, or properly refused further ones."""
    status = result.status_code
    return status is not None and (200 <= status <= 299 or status == 410)
