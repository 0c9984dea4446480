"""The timeline of a payment that `make demo` prints."""

from __future__ import annotations

from typing import Any

from local.commands.timeline import is_complete, render, stages_of

EVENTS: list[dict[str, Any]] = [
    {"type": "payment.created", "at": "2026-01-01T12:00:00.000Z", "details": {}},
    {"type": "event.relayed", "at": "2026-01-01T12:00:00.020Z", "details": {"event_type": "payment.created"}},
    {"type": "gateway.attempt_started", "at": "2026-01-01T12:00:00.600Z", "details": {}},
    {"type": "gateway.attempt_succeeded", "at": "2026-01-01T12:00:00.650Z", "details": {}},
    {"type": "event.relayed", "at": "2026-01-01T12:00:00.700Z", "details": {"event_type": "payment.succeeded"}},
]
RECEIVED = {"received_at": "2026-01-01T12:00:01.250Z", "verified": True}


class TestStagesOf:
    def test_is_complete_with_every_event_and_a_verified_webhook(self) -> None:
        assert is_complete(stages_of(EVENTS, [RECEIVED]))

    def test_does_not_count_a_webhook_whose_signature_is_wrong(self) -> None:
        stages = stages_of(EVENTS, [{**RECEIVED, "verified": False}])
        assert [stage.name for stage in stages if stage.at is None] == ["webhook delivered, signature verified"]

    def test_tells_the_two_relayed_events_apart(self) -> None:
        stages = stages_of(EVENTS[:-1], [])
        assert [stage.name for stage in stages if stage.at is not None] == [
            "accepted",
            "relayed to the broker",
            "consumed",
            "charged by the gateway",
        ]


class TestRender:
    def test_gives_milliseconds_since_acceptance(self) -> None:
        lines = render(stages_of(EVENTS, [RECEIVED])).splitlines()
        assert [line.split()[1] for line in lines] == ["0", "20", "600", "650", "700", "1,250"]

    def test_marks_what_has_not_happened(self) -> None:
        assert render(stages_of(EVENTS, [])).splitlines()[-1].split()[:2] == ["✗", "—"]
