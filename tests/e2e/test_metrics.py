"""The metrics of a running stack, where an operator finds them: in the log of the jobs function."""

from __future__ import annotations

import json

import pytest

from local.stack.stack import Stack
from local.testkit.live import eventually
from paybridge.outbox.queues import all_queues
from tests.support.metrics import of, read_line

pytestmark = pytest.mark.e2e


def emitted_by_jobs(stack: Stack) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Return names and dimensions of the metrics that the jobs have emitted."""
    lines = stack.processes.log_of("JobsFunction").read_text(encoding="utf-8").splitlines()
    metrics = [json.loads(line) for line in lines if '"_aws"' in line]
    return {(name, dimensions) for line in metrics for name, dimensions, _ in read_line(line)}


def test_the_jobs_tell_of_the_outbox_and_of_every_queue(stack: Stack) -> None:
    expected = {(name, of("local")) for name in ("OutboxAge", "OutboxDue", "StuckPayments")}
    expected |= {("QueueDepth", of("local", Queue=queue)) for queue in all_queues(shards=1)}
    eventually(
        lambda: emitted_by_jobs(stack) == expected, "the metrics of the jobs, which run as soon as the stack does"
    )
