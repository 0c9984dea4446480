from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from paybridge.observability.logging import LineFormatter, json_text, logger


@dataclass(frozen=True)
class Hidden:
    """Shows nothing of its secret as text."""

    secret: str

    def __str__(self) -> str:
        return "hidden"


class TestLibraries:
    @pytest.mark.parametrize(
        "name", ["botocore.credentials", "botocore.parsers", "urllib3", "httpx", "aiormq.connection"]
    )
    def test_log_only_what_is_wrong_whatever_the_level_of_the_root_logger(self, name: str) -> None:
        """Lambda gives the function's level to the root logger, and botocore's DEBUG lines hold secrets."""
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.DEBUG)
        try:
            library = logging.getLogger(name)
            assert not library.isEnabledFor(logging.INFO)
            assert library.isEnabledFor(logging.WARNING)
        finally:
            root.setLevel(level)


class TestLogger:
    def test_writes_one_object_a_line_with_the_correlation_id(self) -> None:
        stream = io.StringIO()
        log = logger("log-test", stream)
        log.set_correlation_id("a-correlation-id")
        log.info("request", status=202)
        [line] = map(json.loads, stream.getvalue().splitlines())
        expected = {"level": "INFO", "message": "request", "status": 202, "service": "log-test"}
        assert line.items() >= {**expected, "correlation_id": "a-correlation-id"}.items()
        assert line["timestamp"].endswith("+00:00")

    def test_a_line_is_what_powertools_itself_would_write(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-2-3;Parent=4;Sampled=1")
        record = logging.makeLogRecord({"msg": "took %s s", "args": (3,), "funcName": "f", "lineno": 7, "queue": "q"})
        stock = LambdaPowertoolsFormatter(utc=True, use_rfc3339=True, service="log-test", correlation_id="c")
        ours = LineFormatter()
        ours.append_keys(service="log-test", correlation_id="c", sampling_rate=None)
        assert json.loads(ours.format(record)) == json.loads(stock.format(record))

    def test_an_error_with_its_traceback_is_written_too(self) -> None:
        stream = io.StringIO()
        log = logger("log-test-errors", stream)
        try:
            int("odd")
        except ValueError:
            log.exception("defect", payment="p")
        [line] = map(json.loads, stream.getvalue().splitlines())
        assert line.items() >= {"level": "ERROR", "message": "defect", "payment": "p"}.items()
        assert line["exception_name"] == "ValueError"
        assert "'odd'" in line["stack_trace"]["value"]


class TestJsonText:
    @pytest.mark.parametrize("value", ["\ud800", 2**70, "é"])
    def test_loses_no_line_for_what_is_in_it(self, value: Any) -> None:
        assert json.loads(json_text({"value": value})) == {"value": value}

    def test_writes_unknown_values_as_text(self) -> None:
        record = {"id": UUID(int=0), "hidden": Hidden("s3cret"), "numbers": {1: 2}}
        text = json_text(record)
        assert json.loads(text) == {
            "id": "00000000-0000-0000-0000-000000000000",
            "hidden": "hidden",
            "numbers": {"1": 2},
        }
