"""The timelines of a payment and of a refund that `make demo` prints."""

from __future__ import annotations

from typing import Any

from local.commands.timeline import is_complete, refund_stages_of, render, stages_of

EVENTS: list[dict[str, Any]] = [
    {"type": "payment.created", "at": "2026-01-01T12:00:00.000Z", "details": {}},
    {"type": "event.relayed", "at": "2026-01-01T12:00:00.020Z", "details": {"event_type": "payment.created"}},
    {"type": "gateway.attempt_started", "at": "2026-01-01T12:00:00.600Z", "details": {}},
    {"type": "gateway.attempt_succeeded", "at": "2026-01-01T12:00:00.650Z", "details": {}},
    {"type": "event.relayed", "at": "2026-01-01T12:00:00.700Z", "details": {"event_type": "payment.succeeded"}},
]
RECEIVED: dict[str, Any] = {
    "received_at": "2026-01-01T12:00:01.250Z",
    "verified": True,
    "body": {"type": "payment.succeeded", "data": {}},
}
CHARGE, REFUND, OTHER = {"operation_id": "p-1"}, {"refund_id": "r-1"}, {"refund_id": "r-2"}
REFUND_EVENTS: list[dict[str, Any]] = [
    {"type": "gateway.attempt_started", "at": "2026-01-01T11:00:00.000Z", "details": CHARGE},
    {"type": "gateway.attempt_succeeded", "at": "2026-01-01T11:00:00.000Z", "details": CHARGE},
    {"type": "refund.created", "at": "2026-01-01T11:00:00.000Z", "details": OTHER},
    {"type": "refund.created", "at": "2026-01-01T12:00:00.000Z", "details": REFUND},
    {"type": "gateway.attempt_started", "at": "2026-01-01T12:00:00.500Z", "details": {"operation_id": "r-1"}},
    {"type": "gateway.attempt_succeeded", "at": "2026-01-01T12:00:00.520Z", "details": {"operation_id": "r-1"}},
    {
        "type": "event.relayed",
        "at": "2026-01-01T12:00:00.540Z",
        "details": {**REFUND, "event_type": "refund.succeeded"},
    },
]


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

    def test_waits_for_the_webhook_of_the_outcome(self) -> None:
        other = {**RECEIVED, "body": {"type": "payment.requires_capture", "data": {}}}
        assert not is_complete(stages_of(EVENTS, [other]))


def refund_webhook(refund_id: str, event_type: str = "refund.succeeded") -> dict[str, Any]:
    return {**RECEIVED, "body": {"type": event_type, "data": {"refund_id": refund_id}}}


class TestRefundStagesOf:
    def test_takes_the_refunds_own_steps_and_leaves_out_the_charges(self) -> None:
        stages = refund_stages_of(REFUND_EVENTS, [RECEIVED, refund_webhook("r-1")], "r-1")
        assert [line.split()[1] for line in render(stages).splitlines()] == ["0", "500", "520", "540", "1,250"]

    def test_does_not_count_the_webhook_of_another_refund_or_event(self) -> None:
        hooks = [refund_webhook("r-2"), refund_webhook("r-1", "refund.created")]
        stages = refund_stages_of(REFUND_EVENTS, hooks, "r-1")
        assert [stage.name for stage in stages if stage.at is None] == ["webhook delivered, signature verified"]


class TestRender:
    def test_gives_milliseconds_since_acceptance(self) -> None:
        lines = render(stages_of(EVENTS, [RECEIVED])).splitlines()
        assert [line.split()[1] for line in lines] == ["0", "20", "600", "650", "700", "1,250"]

    def test_marks_what_has_not_happened(self) -> None:
        assert render(stages_of(EVENTS, [])).splitlines()[-1].split()[:2] == ["✗", "—"]
