"""`paybridge webhooks` over deliveries that have ended."""

from __future__ import annotations

import uuid
from uuid import UUID

import pytest

from local.testkit.payments import new_merchant, new_payment
from local.testkit.webhooks import ended_delivery
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration

_SET_ENDPOINT = Statement("UPDATE webhook_deliveries SET endpoint_id = :endpoint_id::uuid WHERE id = :id::uuid")


def delivery(terminal: Terminal, endpoint_id: UUID | None = None, status: str = "failed") -> UUID:
    merchant_id = new_merchant(terminal.database)
    id_ = ended_delivery(terminal.database, merchant_id, new_payment(terminal.database, merchant_id), status)
    if endpoint_id is not None:
        terminal.database.run(_SET_ENDPOINT, endpoint_id=endpoint_id, id=id_)
    return id_


class TestEndpoints:
    def test_lists_those_of_a_merchant_without_their_secrets(self, terminal: Terminal) -> None:
        merchant_id = new_merchant(terminal.database)
        created = [
            create_endpoint(
                terminal.database,
                SystemClock(),
                Uuid7Ids(),
                merchant_id,
                EndpointOrder(url=f"https://shop.example/{number}", events=("payment.*", "refund.failed")),
            )
            for number in range(2)
        ]
        first, second = (one.endpoint.id for one in created if one is not None)
        command = ("webhooks", "endpoints", "--merchant", merchant_id)
        page = terminal.read(*command, "--limit", 1)
        rest = terminal.run(*command, "--cursor", page["next_cursor"])
        assert [view["endpoint_id"] for view in page["data"]] == [str(second)]
        assert page["data"][0]["merchant_id"] == str(merchant_id)
        assert rest.splitlines()[1].split() == [
            *(str(first), "enabled", "-", "-", str(merchant_id)),
            *("payment.*,refund.failed", "https://shop.example/0"),
        ]
        assert "whsec_" not in str(page) + rest

    def test_says_that_a_merchant_has_none(self, terminal: Terminal) -> None:
        assert terminal.run("webhooks", "endpoints", "--merchant", uuid.uuid4()) == "There are no such endpoints.\n"


class TestDeliveries:
    def test_lists_those_to_an_endpoint(self, terminal: Terminal) -> None:
        endpoint_id = uuid.uuid4()
        first, second = (delivery(terminal, endpoint_id, status) for status in ("failed", "delivered"))
        command = ("webhooks", "deliveries", "--endpoint", endpoint_id)
        page = terminal.read(*command, "--limit", 1)
        rest = terminal.read(*command, "--limit", 1, "--cursor", page["next_cursor"])
        assert [view["delivery_id"] for view in page["data"] + rest["data"]] == [str(second), str(first)]
        _, row = terminal.run(*command, "--status", "failed", "--type", "payment.succeeded").splitlines()
        assert row.split()[:7] == [str(first), "failed", "payment.succeeded", "1", "503", "in", "12"]
        assert terminal.run(*command, "--status", "gone") == "There are no such deliveries.\n"


class TestShow:
    def test_shows_each_attempt_and_the_body(self, terminal: Terminal) -> None:
        id_ = delivery(terminal)
        printed = terminal.run("webhooks", "show", id_)
        assert "1. 503 in 12 ms  out of order" in printed
        assert printed.endswith("body:\n{}\n")
        assert terminal.read("webhooks", "show", id_)["attempts"][0]["response_status"] == 503

    def test_an_unknown_one_is_an_error(self, terminal: Terminal) -> None:
        assert terminal.refused("webhooks", "show", uuid.uuid4()).startswith("There is no delivery")


class TestRedeliver:
    def test_begins_an_ended_delivery_again_once(self, terminal: Terminal) -> None:
        id_ = delivery(terminal)
        assert terminal.read("webhooks", "redeliver", id_)["status"] == "pending"
        assert "The delivery is pending" in terminal.refused("webhooks", "redeliver", id_)

    def test_an_unknown_one_is_an_error(self, terminal: Terminal) -> None:
        assert terminal.refused("webhooks", "redeliver", uuid.uuid4()).startswith("There is no delivery")
