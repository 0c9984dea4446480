"""Which queues each worker takes from."""

from __future__ import annotations

import pytest

from paybridge.outbox.queues import (
    BRIDGE_QUEUE,
    DEAD_LETTER_QUEUES,
    INTAKE_QUEUE,
    LEDGER_QUEUE,
    NOTIFICATIONS_QUEUE,
    WEBHOOK_QUEUES,
    payment_queues,
)
from paybridge.worker.assignments import CONSUMER, NAMES, RELAY, AssignmentInvalid, assignment


def test_the_consumer_takes_from_every_shard() -> None:
    assert assignment(CONSUMER, [], 3).queues == payment_queues(3)


def test_the_relay_takes_from_no_queue() -> None:
    assert assignment(RELAY, [], 1).queues == ()


def test_all_workers_together_take_once_from_every_queue() -> None:
    taken = [queue for name in NAMES for queue in assignment(name, [], 2).queues]
    events = (*WEBHOOK_QUEUES, NOTIFICATIONS_QUEUE, LEDGER_QUEUE, BRIDGE_QUEUE)
    assert sorted(taken) == sorted([*payment_queues(2), INTAKE_QUEUE, *events, *DEAD_LETTER_QUEUES])


def test_a_worker_may_be_given_some_of_its_queues() -> None:
    assert assignment(CONSUMER, ["payments.new.1"], 2).queues == ("payments.new.1",)


@pytest.mark.parametrize(
    ("worker", "sentence"),
    [
        ("relay", "The worker relay does not take from webhooks.retry: it takes from no queue."),
        ("webhooks", "The worker webhooks does not take from webhooks.retry: it takes from webhooks."),
    ],
)
def test_a_queue_of_another_worker_is_refused(worker: str, sentence: str) -> None:
    with pytest.raises(AssignmentInvalid) as caught:
        assignment(worker, ["webhooks.retry"], 1)
    assert str(caught.value) == sentence
