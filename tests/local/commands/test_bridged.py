"""The event on the EventBridge bus that the demo shows."""

from __future__ import annotations

from dataclasses import replace

from local.commands.bridged import render_bridged, watched_bus
from local.servers.processes import free_port
from local.settings import LocalSettings


def event(type_: str, subject: str) -> dict[str, object]:
    return {"detail-type": type_, "detail": {"id": f"event of {subject}", "subject": subject}}


class TestRenderBridged:
    def test_shows_the_success_of_this_payment(self) -> None:
        events = [event("payment.succeeded", "other"), event("refund.created", "p"), event("payment.succeeded", "p")]
        shown = render_bridged(events, "p")
        assert shown == "  ✓ payment.succeeded on the EventBridge bus paybridge-local, event event of p"

    def test_shows_nothing_before_it_is_there(self) -> None:
        assert render_bridged([event("payment.succeeded", "other"), event("payment.failed", "p")], "p") == ""


class TestWatchedBus:
    def test_there_is_none_where_nothing_listens(self) -> None:
        with watched_bus(replace(LocalSettings.load(), aws_port=free_port(), aws_endpoint="")) as watched:
            assert watched is None
