"""The books of the simulated gateway balance after every sequence of requests, faults and jumps of its clock."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from local.gateway.behaviour import Behaviour
from local.gateway.gateway import Conflict, Gateway, KeyReused, Unanswered, Unavailable
from local.gateway.log import OperationLog, Record

METHODS = [
    "tok_success",
    "tok_partial",
    "tok_pending",
    "tok_capture_declined",
    "tok_authorization_expires",
    "tok_refund_declined",
    "tok_refund_timeout",
    "tok_refund_timeout_done",
    "tok_refund_reversed",
    "tok_decline",
]
KINDS = ["charge", "authorization", "capture", "void", "refund"]
FAULTS = ["lost_request", "lost_answer", "error", "error_done", "rate_limited"]

first = st.sampled_from([("charge", 1, 1000), ("authorization", 1, 1000)])
requests = st.tuples(st.sampled_from(KINDS), st.integers(1, 3), st.sampled_from([1, 500, 800, 1000]))
# Jumps of the clock, faults for the next request, and the restart of the process.
events = st.sampled_from([1, 2, 90_000, 700_000, *FAULTS, "restart", "restart"])
steps = st.tuples(first, st.lists(requests | requests | requests | events, max_size=20))


async def play(folder: Path, method: str, taken: list[Any]) -> list[list[Record]]:
    """Take the steps and return the records of the payment after each of them."""
    after: list[list[Record]] = []
    log = OperationLog(folder / "log")
    gateway = Gateway(log, Behaviour())
    for step in taken:
        if step == "restart":
            ahead_seconds = gateway.behaviour.ahead_seconds
            log.close()
            log = OperationLog(folder / "log")
            gateway = Gateway(log, Behaviour(ahead_seconds=ahead_seconds))
        elif isinstance(step, str):
            gateway.behaviour = gateway.behaviour.changed({"faults": [step]})
        elif isinstance(step, int):
            ahead_seconds = gateway.behaviour.ahead_seconds + step
            gateway.behaviour = gateway.behaviour.changed({"ahead_seconds": ahead_seconds})
        else:
            await ask(gateway, method, *step)
        after.append(gateway.of_reference("p"))
    log.close()
    return after


async def ask(gateway: Gateway, method: str, kind: str, number: int, amount_minor: int) -> None:
    body: dict[str, Any] = {"reference": "p", "operation_id": f"{kind}-{number}", "amount_minor": amount_minor}
    body["currency"] = "RUB"
    if kind in ("charge", "authorization"):
        body["payment_method"] = method
    try:
        await gateway.operate(kind, f"{kind}-{number}", body)
    except (Conflict, KeyReused, Unanswered, Unavailable):
        return


def assert_balanced(records: list[Record]) -> None:
    for record in records:
        if record["status"] == "succeeded" and record["kind"] in ("charge", "authorization"):
            done = [each for each in records if each.get("target_id") == record["id"] and each["status"] == "succeeded"]
            assert_within(record, done)


def assert_within(record: Record, done: list[Record]) -> None:
    """A charge or authorization ends once, and no more is given back than was taken."""
    captured_minor = total_minor(done, "capture")
    taken_minor = record["amount_minor"] if record["kind"] == "charge" else captured_minor
    assert 0 <= total_minor(done, "refund") - total_minor(done, "refund_reversal") <= taken_minor
    assert taken_minor <= record["amount_minor"]
    ends = [each for each in done if each["kind"] in ("capture", "void")]
    assert len(ends) <= (record["kind"] == "authorization")
    for end in ends:
        assert record["state"] == {"capture": "captured", "void": "voided"}[end["kind"]]
        assert end["created_at"] < record["expires_at"]


def total_minor(records: list[Record], kind: str) -> int:
    return sum(record["amount_minor"] for record in records if record["kind"] == kind)


class TestBooks:
    @settings(max_examples=500)
    @given(st.sampled_from(METHODS), steps)
    def test_the_books_balance_and_nothing_in_them_is_unwritten(
        self, method: str, taken: tuple[Any, list[Any]]
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            after = asyncio.run(play(Path(folder), method, [taken[0], *taken[1]]))
        known: list[str] = []
        for records in after:
            assert_balanced(records)
            ids = [record["id"] for record in records]
            assert ids[: len(known)] == known
            known = ids
