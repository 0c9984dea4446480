"""What the gateway records of one operation counts from one instant, though its clock goes on meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.gateway.behaviour import Behaviour
from local.gateway.books import epoch
from local.gateway.gateway import Gateway
from local.gateway.log import OperationLog, Record

BEGIN = 1_790_000_000.0
STEP_SECONDS = 0.25


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose clock moves whenever it is read."""
    times = itertools.count()
    log = OperationLog(tmp_path / "log.jsonl")
    behaviour = Behaviour(latency_seconds_min=0, latency_seconds_max=0)
    yield Gateway(log, behaviour, time_now=lambda: BEGIN + STEP_SECONDS * next(times))
    log.close()


def operate(gateway: Gateway, kind: str, reference: str, method: str | None = None) -> Record:
    body = {"reference": reference, "operation_id": str(uuid.uuid4()), "amount_minor": 100, "currency": "RUB"}
    if method:
        body["payment_method"] = method
    return asyncio.run(gateway.operate(kind, f"{reference}:{kind}", body)).record


def test_an_authorization_expires_so_long_after_it_was_created(gateway: Gateway) -> None:
    made = operate(gateway, "authorization", str(uuid.uuid4()), "tok_success")
    assert epoch(made["expires_at"]) - epoch(made["created_at"]) == gateway.behaviour.authorization_seconds


def test_a_pending_charge_is_decided_so_long_after_it_was_created(gateway: Gateway) -> None:
    made = operate(gateway, "charge", str(uuid.uuid4()), "tok_pending")
    assert made["decided_at"] - epoch(made["created_at"]) == gateway.behaviour.pending_seconds


def test_a_refund_is_taken_back_so_long_after_it_was_created(gateway: Gateway) -> None:
    reference = str(uuid.uuid4())
    operate(gateway, "charge", reference, "tok_refund_reversed")
    made = operate(gateway, "refund", reference)
    assert made["reversed_at"] - epoch(made["created_at"]) == gateway.behaviour.reversal_seconds
