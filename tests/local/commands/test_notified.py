"""The e-mail and the SMS that the demo shows."""

from __future__ import annotations

from typing import Any

import pytest

from local.commands.notified import is_chosen, is_told, render_notifications


def entry(type_: str, id_: str = "n", **details: Any) -> dict[str, Any]:
    """Return an entry of a timeline about a refund's e-mail."""
    told = {
        "notification_id": id_,
        "event_type": "refund.succeeded",
        "channel": "email",
        "contact": "a@b.example",
        "pattern": "refund.*",
        "provider_message_id": f"m-{id_}",
    }
    return {"type": f"notification.{type_}", "details": {**told, **details}}


class TestIsChosen:
    @pytest.mark.parametrize("notify", [["refund.succeeded"], ["payment.failed", "refund.*"], ["*"]])
    def test_refunds_are_by_each_pattern_that_fits(self, notify: list[str]) -> None:
        assert is_chosen({"email": "a@b.example", "phone": None, "notify": notify})
        assert is_chosen({"email": None, "phone": "+4930123456", "notify": notify})
        assert not is_chosen({"email": None, "phone": None, "notify": notify})

    @pytest.mark.parametrize("notify", [[], ["payment.*", "refund.failed"]])
    def test_they_are_not_by_any_other(self, notify: list[str]) -> None:
        assert not is_chosen({"email": "a@b.example", "phone": "+4930123456", "notify": notify})


class TestIsTold:
    def test_it_is_once_all_that_was_scheduled_has_ended(self) -> None:
        assert not is_told([])
        assert not is_told([entry("scheduled")])
        assert not is_told([entry("scheduled"), entry("scheduled", "o"), entry("sent")])
        assert is_told([entry("scheduled"), entry("scheduled", "o"), entry("sent"), entry("unclear", "o")])

    def test_another_event_does_not_count(self) -> None:
        other = {"event_type": "payment.failed"}
        assert not is_told([entry("scheduled", **other), entry("sent", **other)])


class TestRenderNotifications:
    def test_each_says_to_whom_why_and_what(self) -> None:
        sms = {"channel": "sms", "contact": "+4930123456"}
        entries = [entry("scheduled"), entry("sent"), entry("scheduled", "o", **sms), entry("sent", "o", **sms)]
        assert render_notifications(entries, {"m-n": "Refund", "m-o": "Demo: Refund."}) == (
            "  ✓ e-mail to a@b.example, chosen by refund.*: Refund\n"
            "  ✓ SMS to +4930123456, chosen by refund.*: Demo: Refund."
        )

    def test_the_text_is_left_out_where_the_endpoint_does_not_show_it(self) -> None:
        assert render_notifications([entry("scheduled"), entry("sent")], {}).endswith("chosen by refund.*")

    def test_what_was_not_sent_is_not_shown(self) -> None:
        assert render_notifications([entry("scheduled"), entry("failed")], {}) == ""
