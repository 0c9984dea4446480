"""The lines of one function and of one payment."""

from __future__ import annotations

import json

import pytest

from local.commands.log_filter import LineFilter, Wanted, part_of
from local.errors import LocalError

PAYMENT = "01a2235d-a7f0-756a-9cb2-9d9e5408e00b"
OTHER = "01a2235d-a7d0-7621-ab2a-683c98676e6e"
CORRELATION = "01a2235d-a7f0-756a-9cb2-9d9d650cedf6"
REQUEST = json.dumps({"service": "api", "message": "request", "correlation_id": CORRELATION, "status": 202})
BATCH = json.dumps(
    {
        "service": "consumer",
        "messages": 2,
        "payments": [
            {"payment_id": PAYMENT, "correlation_id": CORRELATION, "outcome": "succeeded"},
            {"payment_id": OTHER, "correlation_id": "another", "outcome": "failed"},
        ],
    }
)


class TestPartOf:
    @pytest.mark.parametrize(
        ("stem", "part"),
        [
            ("ConsumerFunction", "consumer"),
            ("DeadLettersFunction", "dead-letters"),
            ("worker-relay-2", "worker-relay-2"),
        ],
    )
    def test_is_the_name_that_a_person_knows(self, stem: str, part: str) -> None:
        assert part_of(stem) == part


class TestWanted:
    @pytest.mark.parametrize("function", ["consumer", "Consumer", "ConsumerFunction"])
    def test_takes_the_log_of_the_function(self, function: str) -> None:
        wanted = Wanted(function)
        assert [stem for stem in ("ApiFunction", "ConsumerFunction", "bridge") if wanted.takes(stem)] == [
            "ConsumerFunction"
        ]

    def test_takes_every_log_without_a_function(self) -> None:
        assert Wanted().takes("bridge")

    def test_names_the_logs_there_are_for_an_unknown_function(self) -> None:
        with pytest.raises(LocalError, match="There is no log of consummer: choose api, bridge, consumer"):
            Wanted("consummer").require(["ConsumerFunction", "bridge", "ApiFunction"])

    @pytest.mark.parametrize("payment_id", ["42", "order-123", PAYMENT[:-1]])
    def test_refuses_what_is_no_payment(self, payment_id: str) -> None:
        with pytest.raises(LocalError, match="is not the id of a payment"):
            Wanted(payment_id=payment_id)


def passed(wanted: Wanted, *lines: str) -> list[str]:
    line_filter = LineFilter(wanted)
    return [read for line in lines if (read := line_filter.read(line)) is not None]


class TestLineFilter:
    def test_passes_every_line_unchanged_without_a_payment(self) -> None:
        assert passed(Wanted("api"), BATCH, "a text") == [BATCH, "a text"]

    def test_passes_the_payments_request_once_its_correlation_id_is_known(self) -> None:
        wanted = Wanted(payment_id=PAYMENT.upper())
        assert passed(wanted, REQUEST) == []
        wanted.learn([BATCH])
        assert passed(wanted, REQUEST) == [REQUEST]

    def test_leaves_the_other_payments_of_a_batch_out(self) -> None:
        (line,) = passed(Wanted(payment_id=PAYMENT), BATCH)
        assert [one["payment_id"] for one in json.loads(line)["payments"]] == [PAYMENT]
        (line,) = passed(Wanted(payment_id=OTHER), BATCH)
        assert [one["payment_id"] for one in json.loads(line)["payments"]] == [OTHER]

    def test_does_not_learn_from_the_others_of_a_batch(self) -> None:
        wanted = Wanted(payment_id=OTHER)
        wanted.learn([BATCH])
        assert passed(wanted, REQUEST) == []

    def test_keeps_a_traceback_with_its_error(self) -> None:
        error, frame = f"2026-11-28 ERROR payment {PAYMENT} failed", '  File "x.py", line 1'
        assert passed(Wanted(payment_id=PAYMENT), error, frame, "another line", frame) == [error, frame]

    def test_reads_a_record_behind_the_time_of_sam(self) -> None:
        wanted = Wanted(payment_id=PAYMENT)
        wanted.learn([f"2026/11/28/[1]ab 2026-11-28T18:14:31.143 {BATCH}"])
        assert passed(wanted, REQUEST) == [REQUEST]
