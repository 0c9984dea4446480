from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from paybridge.observability.logging import logger
from paybridge.observability.metrics import VALUES_MAX, CountedLine, Metric, emit, emit_counts
from tests.support.metrics import of, read_line


def emitted(service: str, values: dict[Metric, float | Sequence[float]], **dimensions: str) -> dict[str, Any]:
    """Return the line that is written."""
    stream = io.StringIO()
    emit(logger(service, stream), "test", values, **dimensions)
    [line] = stream.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


class TestEmit:
    def test_writes_values_with_their_units_under_the_environment_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # An alarm names every dimension of its metric; Powertools would add the service.
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "jobs")
        line = emitted("metrics-test", {Metric.OUTBOX_AGE: 1.5, Metric.OUTBOX_DUE: 3})
        assert read_line(line) == [("OutboxAge", of("test"), [1.5]), ("OutboxDue", of("test"), [3.0])]
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert [metric["Unit"] for metric in directive["Metrics"]] == ["Seconds", "Count"]

    def test_writes_further_dimensions(self) -> None:
        line = emitted("metrics-queue", {Metric.QUEUE_DEPTH: 7}, Queue="payments.dead")
        assert read_line(line) == [("QueueDepth", of("test", Queue="payments.dead"), [7.0])]

    @pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
    def test_is_of_a_level_that_lambda_lets_through(self, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
        # Lambda reads the level and, of a line with both, the timestamp; without them it takes the line for INFO.
        monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", level)
        line = emitted(f"metrics-{level}", {Metric.PUBLISHED: 1})
        assert line["level"] == level
        assert line["timestamp"]

    def test_two_lines_have_nothing_in_common(self) -> None:
        emitted("metrics-first", {Metric.QUEUE_DEPTH: 7}, Queue="webhooks")
        assert read_line(emitted("metrics-second", {Metric.PUBLISHED: 2})) == [("Published", of("test"), [2.0])]


class TestEmitCounts:
    def test_writes_the_sum_and_each_count(self) -> None:
        stream = io.StringIO()
        counts = {"charged": 3, "unknown": 1}
        emit_counts(logger("metrics-counts", stream), "test", Metric.GATEWAY_CALLS, counts, "Result")
        lines = [read_line(json.loads(line)) for line in stream.getvalue().splitlines()]
        assert lines == [
            [("GatewayCalls", of("test"), [4])],
            [("GatewayCalls", of("test", Result="charged"), [3])],
            [("GatewayCalls", of("test", Result="unknown"), [1])],
        ]

    def test_of_nothing_nothing_is_written(self) -> None:
        stream = io.StringIO()
        emit_counts(logger("metrics-nothing", stream), "test", Metric.GATEWAY_CALLS, {}, "Result")
        assert stream.getvalue() == ""


class TestManyValues:
    def test_a_sample_keeps_the_least_and_the_greatest(self) -> None:
        line = emitted("metrics-many", {Metric.GATEWAY_LATENCY: [float(value) for value in range(1000, 0, -1)]})
        [(_, _, values)] = read_line(line)
        assert (len(values), values[0], values[-1]) == (VALUES_MAX, 1.0, 1000.0)
        assert values == sorted(values)


class TestCountedLine:
    def test_each_line_counts_one_at_its_own_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counted = CountedLine("test", Metric.PAYMENTS_ACCEPTED)
        times = []
        for now in (1000.0, 2000.5):
            monkeypatch.setattr("time.time", lambda now=now: now)
            members = counted.members()
            assert read_line(members) == [("PaymentsAccepted", of("test"), [1])]
            times.append(members["_aws"]["Timestamp"])
        assert times == [1_000_000, 2_000_500]
