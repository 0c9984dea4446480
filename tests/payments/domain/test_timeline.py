"""Causes come before their effects, whatever the clocks say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.query import TimelineEntry
from paybridge.payments.domain.timeline import in_causal_order

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

# A payment that is charged at the second attempt and whose webhook is delivered at the second, in causal order.
STORY: list[tuple[str, int | None, dict[str, Any]]] = [
    ("payment.created", 1, {"event_id": "e1"}),
    ("event.relayed", 1, {"event_id": "e1"}),
    ("payment.processing", 2, {"event_id": "e2"}),
    ("gateway.attempt_started", None, {"number": 1}),
    ("gateway.attempt_unknown", None, {"number": 1}),
    ("gateway.attempt_started", None, {"number": 2}),
    ("gateway.attempt_pending", None, {"number": 2}),
    ("gateway.attempt_succeeded", None, {"number": 2}),
    ("payment.succeeded", 3, {"event_id": "e3"}),
    ("event.relayed", 3, {"event_id": "e3"}),
    ("webhook.scheduled", None, {"delivery_id": "d", "event_id": "e3"}),
    ("webhook.attempt_failed", None, {"delivery_id": "d", "number": 1}),
    ("webhook.attempt_delivered", None, {"delivery_id": "d", "number": 2}),
]


def told(*seconds: float) -> list[TimelineEntry]:
    """Return the story with these times, in seconds from its start."""
    return [
        TimelineEntry(type_, START + timedelta(seconds=after), sequence, details)
        for (type_, sequence, details), after in zip(STORY, seconds, strict=True)
    ]


def kinds(entries: list[TimelineEntry]) -> list[tuple[str, int | None, dict[str, Any]]]:
    return [(entry.type, entry.sequence, entry.details) for entry in entries]


class TestInCausalOrder:
    @given(st.permutations(told(*range(len(STORY)))))
    def test_the_order_of_the_rows_makes_no_difference(self, entries: list[TimelineEntry]) -> None:
        assert in_causal_order(entries) == told(*range(len(STORY)))

    @given(st.permutations(told(*[0] * len(STORY))))
    def test_causes_come_first_at_equal_times(self, entries: list[TimelineEntry]) -> None:
        assert kinds(in_causal_order(entries)) == STORY

    @given(st.permutations(told(0, 9, *range(2, 9), 20, *range(10, 13))))
    def test_a_publication_that_is_noted_late_has_the_time_of_its_first_effect(
        self, entries: list[TimelineEntry]
    ) -> None:
        ordered = in_causal_order(entries)
        assert kinds(ordered) == STORY
        assert [entry.at for entry in ordered] == sorted(entry.at for entry in ordered)
        assert ordered[1].at == START + timedelta(seconds=2)

    @given(st.lists(st.integers(-3600, 3600), min_size=len(STORY), max_size=len(STORY)))
    def test_no_clock_puts_an_effect_before_its_cause(self, seconds: list[int]) -> None:
        ordered = in_causal_order(told(*seconds))
        place = {(entry.type, str(entry.details)): at for at, entry in enumerate(ordered)}
        places = [place[type_, str(details)] for type_, _, details in STORY]
        assert sorted(places) == list(range(len(STORY)))
        # The chain up to the first attempt, that of the events, that of each attempt and that of the webhook.
        for chain in ((0, 1, 2, 3), (0, 2, 8, 9, 10, 11, 12), (3, 4), (3, 5, 6, 7)):
            assert [places[step] for step in chain] == sorted(places[step] for step in chain)

    def test_an_answer_that_came_after_the_next_attempt_stays_there(self) -> None:
        entries = [
            TimelineEntry("gateway.attempt_started", START, None, {"number": 1}),
            TimelineEntry("gateway.attempt_started", START + timedelta(seconds=5), None, {"number": 2}),
            TimelineEntry("gateway.attempt_succeeded", START + timedelta(seconds=9), None, {"number": 1}),
        ]
        assert in_causal_order(reversed(entries)) == entries
