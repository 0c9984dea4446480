"""What the functions tell CloudWatch, read back from their log."""

from __future__ import annotations

from collections.abc import Sequence
from logging import LogRecord
from typing import Any

Dimensions = frozenset[tuple[str, str]]


class EmptyQueues:
    """A broker on which nothing waits."""

    async def read(self, queues: Sequence[str]) -> dict[str, int]:
        """See `paybridge.payments.ports.QueueDepths`."""
        return dict.fromkeys(queues, 0)


def metrics_of(records: Sequence[LogRecord]) -> dict[tuple[str, Dimensions], list[float]]:
    """The values in these lines by the metric's name and dimensions, as CloudWatch would count them."""
    found: dict[tuple[str, Dimensions], list[float]] = {}
    for line in (vars(record) for record in records if record.message == "metrics"):
        for name, dimensions, values in read_line(line):
            found.setdefault((name, dimensions), []).extend(values)
    return found


def read_line(line: dict[str, Any]) -> list[tuple[str, Dimensions, list[float]]]:
    """The metrics of one line in the embedded metric format; it must be one."""
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Paybridge"
    assert line["_aws"]["Timestamp"] > 0
    [names] = directive["Dimensions"]
    dimensions = frozenset((name, line[name]) for name in names)
    return [(metric["Name"], dimensions, line[metric["Name"]]) for metric in directive["Metrics"]]


def of(environment: str, **dimensions: str) -> Dimensions:
    """The dimensions of a metric."""
    return frozenset({"Environment": environment, **dimensions}.items())
