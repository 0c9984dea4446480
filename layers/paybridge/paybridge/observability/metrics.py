"""Metrics as lines of the log, in CloudWatch's embedded metric format, which is made by Powertools."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

NAMESPACE = "Paybridge"


class Metric(Enum):
    """Every metric of our own: its name in CloudWatch, and its unit."""

    OUTBOX_AGE = "OutboxAge", MetricUnit.Seconds
    OUTBOX_DUE = "OutboxDue", MetricUnit.Count
    STUCK_PAYMENTS = "StuckPayments", MetricUnit.Count
    DEAD_LETTERS = "DeadLetters", MetricUnit.Count
    QUEUE_DEPTH = "QueueDepth", MetricUnit.Count
    RELAY_LAG = "RelayLag", MetricUnit.Seconds
    PARTITION_DAYS_LEFT = "PartitionDaysLeft", MetricUnit.Count
    PUBLISHED = "Published", MetricUnit.Count
    CIRCUIT_OPEN = "CircuitOpen", MetricUnit.Count
    LATE_CHARGES = "LateCharges", MetricUnit.Count


def emit(log: Logger, environment_name: str, values: Mapping[Metric, float], **dimensions: str) -> None:
    """Write the values as one log line.

    CloudWatch counts them under `Environment` together with the other dimensions.
    """
    provider = AmazonCloudWatchEMFProvider(
        namespace=NAMESPACE, dimension_set={"Environment": environment_name, **dimensions}
    )
    # Powertools would make a dimension of it, and an alarm has to name every dimension of its metric.
    provider.service = ""
    for metric, value in values.items():
        name, unit = metric.value
        provider.add_metric(name, unit, value)
    # Log at the lowest level that is let through: Lambda takes a line without a level for INFO, and may drop it.
    logging.getLogger(log.name).log(log.log_level, "metrics", extra=provider.serialize_metric_set())
