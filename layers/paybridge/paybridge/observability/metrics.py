"""Metrics as lines of the log, in CloudWatch's embedded metric format, which is made by Powertools."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

NAMESPACE = "Paybridge"
# Enough for percentiles of a minute, and cheap to write.
VALUES_MAX = 20


class Metric(Enum):
    """Every metric of our own: its name in CloudWatch, and its unit."""

    OUTBOX_AGE = "OutboxAge", MetricUnit.Seconds
    OUTBOX_DUE = "OutboxDue", MetricUnit.Count
    OUTBOX_GAPS = "OutboxGaps", MetricUnit.Count
    STUCK_PAYMENTS = "StuckPayments", MetricUnit.Count
    OPEN_OPERATIONS = "OpenOperations", MetricUnit.Count
    DEAD_LETTERS = "DeadLetters", MetricUnit.Count
    QUEUE_DEPTH = "QueueDepth", MetricUnit.Count
    RELAY_LAG = "RelayLag", MetricUnit.Seconds
    PARTITION_DAYS_LEFT = "PartitionDaysLeft", MetricUnit.Count
    PUBLISHED = "Published", MetricUnit.Count
    CIRCUIT_OPEN = "CircuitOpen", MetricUnit.Count
    LATE_CHARGES = "LateCharges", MetricUnit.Count
    PAYMENTS_ACCEPTED = "PaymentsAccepted", MetricUnit.Count
    PAYMENTS_SETTLED = "PaymentsSettled", MetricUnit.Count
    GATEWAY_CALLS = "GatewayCalls", MetricUnit.Count
    GATEWAY_LATENCY = "GatewayLatency", MetricUnit.Milliseconds
    WEBHOOK_DELIVERIES = "WebhookDeliveries", MetricUnit.Count
    NOTIFICATIONS = "Notifications", MetricUnit.Count
    BRIDGED_EVENTS = "BridgedEvents", MetricUnit.Count
    RECONCILIATION_BREAKS = "ReconciliationBreaks", MetricUnit.Count
    FAILED_RECONCILIATIONS = "FailedReconciliations", MetricUnit.Count
    JOURNALS_POSTED = "JournalsPosted", MetricUnit.Count
    TRANSFERS_POSTED = "TransfersPosted", MetricUnit.Count
    BROKEN_INVARIANTS = "BrokenInvariants", MetricUnit.Count


def emit(
    log: Logger, environment_name: str, values: Mapping[Metric, float | Sequence[float]], **dimensions: str
) -> None:
    """Write the values as one log line.

    CloudWatch counts them under `Environment` together with the other dimensions. Of many values of one metric,
    VALUES_MAX are written, evenly chosen by size.
    """
    # Log at the lowest level that is let through: Lambda takes a line without a level for INFO, and may drop it.
    line = _line(environment_name, values, dimensions)
    logging.getLogger(log.name).log(log.log_level, "metrics", extra=line)


def emit_counts(log: Logger, environment_name: str, metric: Metric, counts: Mapping[str, int], dimension: str) -> None:
    """Write the sum of the counts, and each count under `dimension`, such as a result."""
    if counts:
        emit(log, environment_name, {metric: sum(counts.values())})
    for name, count in counts.items():
        emit(log, environment_name, {metric: count}, **{dimension: name})


class CountedLine:
    """The members that make another log line count one of a metric as well. That costs microseconds."""

    def __init__(self, environment_name: str, metric: Metric) -> None:
        self._members = _line(environment_name, {metric: 1}, {})
        self._directive = self._members.pop("_aws")

    def members(self) -> dict[str, Any]:
        """Return the members for a line that is written now."""
        return {"_aws": {**self._directive, "Timestamp": int(time.time() * 1000)}, **self._members}


def _line(
    environment_name: str, values: Mapping[Metric, float | Sequence[float]], dimensions: Mapping[str, str]
) -> dict[str, Any]:
    provider = AmazonCloudWatchEMFProvider(
        namespace=NAMESPACE, dimension_set={"Environment": environment_name, **dimensions}
    )
    # Powertools would make a dimension of it, and an alarm has to name every dimension of its metric.
    provider.service = ""
    for metric, value in values.items():
        name, unit = metric.value
        for each in _sample(value) if isinstance(value, Sequence) else (value,):
            provider.add_metric(name, unit, each)
    return dict(provider.serialize_metric_set())


def _sample(values: Sequence[float]) -> Sequence[float]:
    if len(values) <= VALUES_MAX:
        return values
    ordered = sorted(values)
    return [ordered[round(place * (len(ordered) - 1) / (VALUES_MAX - 1))] for place in range(VALUES_MAX)]
