"""The lines that a person reads, made of lines that a running stack has written."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.commands.log_lines import BEGINNING, ITEMS_MAX, TEXT_LENGTH_MAX, PersonsReader, RawReader

REQUEST = (
    '{"level":"INFO","location":"_log_request:59","message":"request","timestamp":"2026-11-28T18:14:30.143+00:00",'
    '"service":"api","correlation_id":"01a2235d-a7ff-7594-8da3-47c43fd63969",'
    '"xray_trace_id":"1-6b0b1a23-914ab974851a4d5fa35a85a3","method":"POST","route":"/api/v1/payments","status":422,'
    '"duration_ms":0.2}'
)
PROCESSED = (
    '{"level":"INFO","location":"_log_processed:64","message":"processed payments",'
    '"timestamp":"2026-11-28T18:14:36.608+00:00","service":"consumer",'
    '"xray_trace_id":"1-6b0b1a42-095f4961ad644b29ab2917a5","messages":2,"payments":[{"payment_id":'
    '"01a2235d-a7f0-756a-9cb2-9d9e5408e00b","correlation_id":"01a2235d-a7f0-756a-9cb2-9d9d650cedf6",'
    '"outcome":"unknown"},{"payment_id":"01a2235d-a7d0-7621-ab2a-683c98676e6e","correlation_id":'
    '"01a2235d-a7d0-7621-ab2a-683bde69f74d","outcome":"succeeded"}]}'
)
DELIVERED = (
    '{"level":"INFO","location":"_log:94","message":"delivered webhooks","timestamp":"2026-11-28T18:14:31.139+00:00",'
    '"service":"webhooks","xray_trace_id":"1-6b0b1a43-251e1e78d11c493faaa140c3","queue":"webhooks","messages":1,'
    '"deliveries":[{"delivery_id":"01a2235d-a9e1-7714-ac45-836bbf6aa690","payment_id":'
    '"01a2235d-a7f8-7499-82c8-8dae3773e628","correlation_id":"01a2235d-a7f7-7746-8524-e011418dc5a4","attempt":1,'
    '"outcome":"retry","response_status":null,"error":"connect_failed","latency_ms":1}]}'
)
METRICS = (
    '{"level":"INFO","location":"tell:39","message":"metrics","timestamp":"2026-11-28T18:15:28.364+00:00",'
    '"service":"relay","xray_trace_id":"1-6b0b1a4f-82507180f269427ca2c8bbe7","_aws":{"Timestamp":1795889728364,'
    '"CloudWatchMetrics":[{"Namespace":"Paybridge","Dimensions":[["Environment"]],"Metrics":[{"Name":"Published",'
    '"Unit":"Count"},{"Name":"RelayLag","Unit":"Seconds"}]}]},"Environment":"local","Published":[28.0],'
    '"RelayLag":[0.011568]}'
)
RELAYED = (
    '{"level":"INFO","location":"drain:73","message":"relayed","timestamp":"2026-11-28T18:16:40.381+00:00",'
    '"service":"relay","xray_trace_id":"1-6b0b1a8b-d5bdccfbc0504d96a679ebd4","published":0,"refused":0}'
)
JOBS = (
    '{"level":"INFO","location":"handler:54","message":"jobs done","timestamp":"2026-11-28T18:19:28.102+00:00",'
    '"service":"jobs","xray_trace_id":"1-6b0b1be4-672f577c1c864fe3afed0cff","new_partitions":0,"outbox_due":0,'
    '"stuck_payments":0,"swept":0,"swept_deliveries":0,"swept_events":0,"expired_answers":0,"queued":1,'
    '"dead_letters":1}'
)
POISON = (
    '{"level":"ERROR","location":"handle:42","message":"poison messages","timestamp":"2026-11-28T18:19:17.322+00:00",'
    '"service":"consumer","xray_trace_id":"1-6b0b1b59-5b498eb743a7494fad5d6412",'
    '"reasons":["MalformedMessage: JSONDecodeError at character 0"]}'
)
OUTAGE = (
    '{"level":"WARNING","location":"outage:42","message":"cannot relay now",'
    '"timestamp":"2026-11-28T18:19:29.991+00:00","service":"relay",'
    '"xray_trace_id":"1-6b0b1b7b-2532ed4079ca4e20a7bf8f04",'
    '"reason":"Cannot reach the broker: ChannelInvalidStateError."}'
)
UNHANDLED = (
    '{"timestamp": "2026-11-28T18:14:43Z", "level": "ERROR", "errorMessage": "\'Step\'", "errorType": "KeyError", '
    '"requestId": "a4fa5dcc-19ed-41dd-a33d-9722b7398823", "stackTrace": ["  File \\"/functions/rotate/handler.py\\", '
    'line 18, in handler\\n    step, secret_id, version = event[\\"Step\\"], event[\\"SecretId\\"]\\n"]}'
)
LIBRARY = (
    '{"timestamp": "2026-11-28T18:19:28Z", "level": "WARNING", "message": "Cancelling cause reader exited abnormally", '
    '"logger": "aiormq.connection", "stackTrace": ["  File \\"aiormq/connection.py\\", line 755, in __reader\\n"], '
    '"errorType": "ConnectionClosed", "errorMessage": "[Errno 320] CONNECTION_FORCED", '
    '"requestId": "0f637782-c62d-4a4e-abd0-cf8de40089f2", "location": "aiormq/connection.py:_on_reader_done:647"}'
)
FUNCTION_LINES = [REQUEST, PROCESSED, DELIVERED, METRICS, RELAYED, JOBS, POISON, OUTAGE, UNHANDLED, LIBRARY]
RABBITMQ = [
    "",
    "  ##  ##      RabbitMQ 3.10.8",
    "  Starting broker...",
    "2026-11-28 18:14:25.570250+00:00 [notice] <0.44.0> Application syslog exited with reason: stopped",
    "\x1b[38;5;160m2026-11-28 18:19:28.312008+00:00 [error] <0.886.0> Error on AMQP connection <0.886.0>:\x1b[0m",
]
POSTGRES = [
    "2026-11-28 18:14:25.533 UTC [25932] LOG:  database system is ready to accept connections",
    "2026-11-28 18:20:25.552 UTC [25936] ERROR:  deadlock detected",
    "2026-11-28 18:20:25.552 UTC [25936] DETAIL:  Process 25936 waits for ShareLock on transaction 800.",
    "2026-11-28 18:20:25.552 UTC [25936] STATEMENT:  UPDATE payments SET status = $1",
    "2026-11-28 18:20:26.552 UTC [25936] LOG:  unexpected EOF on client connection",
    "2026-11-28 18:20:26.552 UTC [25936] DETAIL:  of no interest",
]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The person sits in London: times are shown in the machine's own zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def read(part: str, *lines: str) -> list[str]:
    reader = PersonsReader(part)
    return [found.text for line in lines for found in reader.read(line)]


def record(**values: Any) -> str:
    return json.dumps({"level": "INFO", "timestamp": "2026-11-28T18:00:00Z", "service": "api", **values})


class TestPersonsReader:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            (REQUEST, "18:14:30  api         POST /api/v1/payments 422  0 ms"),
            (
                DELIVERED,
                "18:14:31  webhooks    webhook retry       01a2235d-a7f8-7499-82c8-8dae3773e628"
                "  attempt=1  error=connect_failed  latency_ms=1",
            ),
            (JOBS, "18:19:28  jobs        jobs done  queued=1  dead_letters=1"),
            (
                POISON,
                "18:19:17  consumer    ERROR poison messages"
                '  reasons=["MalformedMessage: JSONDecodeError at character 0"]',
            ),
            (
                OUTAGE,
                "18:19:29  relay       WARNING cannot relay now"
                '  reason="Cannot reach the broker: ChannelInvalidStateError."',
            ),
            (
                LIBRARY,
                "18:19:28  webhooks    WARNING Cancelling cause reader exited abnormally: "
                "ConnectionClosed: [Errno 320] CONNECTION_FORCED",
            ),
        ],
    )
    def test_makes_one_line_of_an_event(self, line: str, expected: str) -> None:
        assert read("WebhooksFunction", line) == [expected]

    def test_makes_a_line_of_each_payment_of_a_batch(self) -> None:
        assert read("ConsumerFunction", PROCESSED) == [
            "18:14:36  consumer    payment unknown     01a2235d-a7f0-756a-9cb2-9d9e5408e00b",
            "18:14:36  consumer    payment succeeded   01a2235d-a7d0-7621-ab2a-683c98676e6e",
        ]

    def test_counts_the_payments_of_a_batch_that_is_larger(self) -> None:
        outcomes = ["succeeded"] * (ITEMS_MAX + 2) + ["failed"]
        payments = [{"payment_id": str(number), "outcome": outcome} for number, outcome in enumerate(outcomes)]
        *shown, last = read("ConsumerFunction", record(message="processed payments", payments=payments))
        assert len(shown) == ITEMS_MAX
        assert last.endswith("payments: 3 more (2 succeeded, 1 failed)")

    def test_says_of_a_warning_about_several_payments_what_it_is_about(self) -> None:
        webhooks = [{"id": "1", "payment_id": "2", "correlation_id": "3"}]
        (line,) = read("JobsFunction", record(level="WARNING", message="re-queued lost events", webhooks=webhooks))
        assert line.endswith("WARNING re-queued lost events: webhook 2  id=1")

    @pytest.mark.parametrize("line", [METRICS, RELAYED, "", "START RequestId: 1 Version: $LATEST", "END RequestId: 1"])
    def test_leaves_out_metrics_and_what_reports_no_event(self, line: str) -> None:
        assert read("RelayFunction", line) == []

    def test_shows_an_error_with_its_traceback(self) -> None:
        assert read("RotateFunction", UNHANDLED) == [
            "18:14:43  rotate      ERROR KeyError: 'Step'",
            '                          File "/functions/rotate/handler.py", line 18, in handler',
            '                            step, secret_id, version = event["Step"], event["SecretId"]',
        ]

    def test_shows_where_a_defect_is(self) -> None:
        defect = record(level="ERROR", message="defect", error_type="KeyError", stack=["/functions/api/a.py:7 f"])
        first, second = read("ApiFunction", defect)
        assert first.endswith("ERROR defect: KeyError")
        assert second.strip() == "/functions/api/a.py:7 f"

    def test_shows_the_traceback_of_powertools(self) -> None:
        text = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'x'"
        lines = read("ApiFunction", record(level="ERROR", message="boom", exception=text, exception_name="KeyError"))
        assert lines[0].endswith("ERROR boom: KeyError")
        assert [line.strip() for line in lines[1:]] == [line.strip() for line in text.splitlines()]

    def test_takes_a_timeout_of_the_lambda_host_for_an_error(self) -> None:
        text = "a4fa5dcc-19ed-41dd-a33d-9722b7398823 Task timed out after 30.00 seconds"
        assert read("ApiFunction", f"2026-11-28T18:14:43Z {text}") == [f"18:14:43  api         ERROR {text}"]

    def test_reads_the_lines_of_the_bridge_and_its_tracebacks(self) -> None:
        lines = ["2026-11-28 18:14:28,027 ERROR The front failed.", "Traceback (most recent call last):", "  File x"]
        first, *others = read("bridge", *lines)
        assert first == "18:14:28  bridge      ERROR The front failed."
        assert [line.strip() for line in others] == ["Traceback (most recent call last):", "File x"]

    def test_hears_from_rabbitmq_only_when_something_is_wrong(self) -> None:
        assert read("rabbitmq", *RABBITMQ) == ["18:19:28  rabbitmq    ERROR Error on AMQP connection <0.886.0>:"]

    def test_hears_from_postgresql_only_when_something_is_wrong(self) -> None:
        first, second = read("postgres", *POSTGRES)
        assert first == "18:20:25  postgres    ERROR deadlock detected"
        assert second.strip() == "DETAIL: Process 25936 waits for ShareLock on transaction 800."

    def test_shows_other_text_as_it_is(self) -> None:
        assert read("gateway", "gateway listening on http://127.0.0.1:27005", "{not json") == [
            "          gateway     gateway listening on http://127.0.0.1:27005",
            "          gateway     {not json",
        ]

    def test_names_a_worker_by_its_service(self) -> None:
        (line,) = read("worker-consumer", record(service="consumer", message="worker ready", queues=["payments.new"]))
        assert line.split()[1:] == ["consumer", "worker", "ready", 'queues=["payments.new"]']

    def test_shortens_a_long_line(self) -> None:
        (line,) = read("ApiFunction", record(message="x" * 5_000))
        assert line.endswith("x…")
        assert len(line) < TEXT_LENGTH_MAX + 30

    @pytest.mark.parametrize(("outcome", "colour"), [("succeeded", 32), ("failed", 31), ("unknown", 33)])
    def test_colours_the_outcome(self, outcome: str, colour: int) -> None:
        line = record(message="processed payments", payments=[{"payment_id": "1", "outcome": outcome}])
        (found,) = PersonsReader("ConsumerFunction", in_colour=True).read(line)
        assert f"\x1b[{colour}m{outcome}" in found.text
        assert re.sub(r"\x1b\[\d+m", "", found.text) == read("ConsumerFunction", line)[0]

    @pytest.mark.parametrize("prefix", ["2026/11/28/[$LATEST]b1 2026-11-28T18:14:30.143000 ", ""])
    def test_reads_what_a_deployed_function_logs(self, prefix: str) -> None:
        assert read("functions", prefix + REQUEST) == read("ApiFunction", REQUEST)
        assert read("functions", prefix + METRICS) == []

    def test_hears_from_ministack_only_what_functions_log_and_what_is_wrong(self) -> None:
        lines = ["2026-11-28 18:14:28 INFO [ministack] ready", REQUEST, "2026-11-28 18:14:31 ERROR [lambda] failed"]
        assert read("ministack", *lines) == [
            *read("ApiFunction", REQUEST),
            "18:14:31  ministack   ERROR [lambda] failed",
        ]


class TestRawReader:
    def test_leaves_out_what_sam_logs_puts_in_front(self) -> None:
        (found,) = RawReader("functions").read("2026/11/28/[$LATEST]b1 2026-11-28T18:14:30.143000 " + REQUEST)
        assert found.text == REQUEST

    @pytest.mark.parametrize("line", FUNCTION_LINES)
    def test_leaves_a_json_line_as_it_is(self, line: str) -> None:
        assert [found.text for found in RawReader("ApiFunction").read(line)] == [line]

    @pytest.mark.parametrize("line", [*RABBITMQ[1:], *POSTGRES, "{not json"])
    def test_makes_json_of_any_other_line(self, line: str) -> None:
        (found,) = RawReader("rabbitmq").read(line)
        content = json.loads(found.text)
        assert content["service"] == "rabbitmq"
        assert content["message"] in line

    def test_leaves_out_an_empty_line(self) -> None:
        assert RawReader("rabbitmq").read("") == []

    def test_gives_a_line_without_a_time_that_of_the_line_before(self) -> None:
        reader = RawReader("ApiFunction")
        assert reader.read("text")[0].at == BEGINNING
        (before,) = reader.read(REQUEST)
        assert reader.read("text")[0].at == before.at


class TestStrangeNumbers:
    def test_a_request_line_of_another_program_is_printed_and_breaks_nothing(self) -> None:
        strange = REQUEST.replace('"status":422', '"status":"ok"').replace('"duration_ms":0.2', '"duration_ms":"1.2ms"')
        (line,) = PersonsReader("api").read(strange)
        assert "POST /api/v1/payments" in line.text
