"""`paybridge publish` with a real broker."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local.testkit.queues import Got, take_all
from local.testkit.servers import Vhost
from paybridge.core.ids import Uuid7Ids
from paybridge.core.raw_messages import RawMessage
from paybridge.intake.read_message import ReadingRules, read_message
from paybridge.outbox.queues import INTAKE_QUEUE
from paybridge.wiring import broker as broker_wiring
from tests.cli.conftest import Terminal

pytestmark = [pytest.mark.integration, pytest.mark.broker]

ORDER = ("--amount", "100.50", "--currency", "EUR", "--user", "user_123")


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch, vhost: Vhost) -> None:
    """Lead the command to the virtual host of the test."""
    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: vhost.amqp_url)


def sent(vhost: Vhost) -> list[Got]:
    return asyncio.run(take_all(vhost.amqp_url, INTAKE_QUEUE))


class TestPublish:
    def test_the_message_orders_what_the_options_say(self, terminal: Terminal, vhost: Vhost) -> None:
        merchant = str(uuid4())
        options = ("--merchant", merchant, "--payment-method", "tok_success", "--metadata", "order=1=2")
        printed = terminal.read("publish", *ORDER, *options, "--capture", "manual", "--description", "Shoes")
        (message,) = sent(vhost)
        assert printed == {
            "idempotency_key": printed["idempotency_key"],
            "message_id": message.message_id,
            "queue": INTAKE_QUEUE,
            "bytes": len(message.body),
        }
        found = read_message(RawMessage(INTAKE_QUEUE, message.body), ReadingRules(), Uuid7Ids())
        assert (str(found.merchant_id), found.request.key) == (merchant, printed["idempotency_key"])
        assert (found.order.amount_minor, found.order.customer, found.order.capture) == (10050, "user_123", "manual")
        assert (found.order.payment_method, found.order.metadata) == ("tok_success", {"order": "1=2"})

    def test_a_key_may_be_given(self, terminal: Terminal, vhost: Vhost) -> None:
        terminal.run("publish", *ORDER, "--idempotency-key", "order-1")
        assert json.loads(sent(vhost)[0].body)["idempotency_key"] == "order-1"

    def test_a_file_is_sent_byte_for_byte(self, terminal: Terminal, vhost: Vhost, tmp_path: Path) -> None:
        file = tmp_path / "order.json"
        file.write_bytes(b"\xff no order")
        assert terminal.run("publish", "--file", file).startswith("message_id")
        assert [message.body for message in sent(vhost)] == [b"\xff no order"]

    def test_standard_input_is_a_file(self, terminal: Terminal, vhost: Vhost, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
        terminal.run("publish", "--file", "-")
        assert [message.body for message in sent(vhost)] == [b"{}"]

    def test_a_body_from_another_machine_is_sent_byte_for_byte(self, terminal: Terminal, vhost: Vhost) -> None:
        terminal.run("publish", "--body", "/yBubyBvcmRlcg==")
        assert [message.body for message in sent(vhost)] == [b"\xff no order"]

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (["--amount", "1.00"], "give --currency and --user, or the whole message by --file"),
            (["--file", "missing.json"], "missing.json cannot be read: No such file or directory"),
            (["--body", "not base64"], "--body is not base64"),
            (["--body", "e30=", "--amount", "1.00"], "--file is the whole message"),
            (["--file", "-", "--amount", "1.00"], "--file is the whole message"),
            (["--file", "-", "--idempotency-key", "k"], "--file is the whole message"),
            ([*ORDER, "--metadata", "order"], "is not a name and a value"),
        ],
    )
    def test_wrong_arguments_are_explained(
        self, terminal: Terminal, vhost: Vhost, arguments: list[Any], why: str
    ) -> None:
        assert why in terminal.refused("publish", *arguments, code=2)
        assert sent(vhost) == []

    def test_a_broker_that_is_away_is_named(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: "amqp://guest:guest@127.0.0.1:1/")
        assert "Cannot reach the broker at 127.0.0.1:1" in terminal.refused("publish", *ORDER)
