"""Causes come before their effects, whatever the clocks say."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.query import TimelineEntry
from paybridge.payments.domain.timeline import in_causal_order

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

CHARGE = {"operation": "charge", "operation_id": "p"}
REFUND = {"operation": "refund", "operation_id": "r"}
UNDO = {"operation": "refund", "operation_id": "u"}

Step = tuple[str, int | None, dict[str, Any]]

# A payment that is charged at the second attempt and whose webhook is delivered at the second, in causal order.
STORY: list[Step] = [
    ("payment.created", 1, {"event_id": "e1"}),
    ("event.relayed", 1, {"event_id": "e1"}),
    ("payment.processing", 2, {"event_id": "e2"}),
    ("gateway.attempt_started", None, {**CHARGE, "number": 1}),
    ("gateway.attempt_unknown", None, {**CHARGE, "number": 1}),
    ("gateway.attempt_started", None, {**CHARGE, "number": 2}),
    ("gateway.attempt_pending", None, {**CHARGE, "number": 2}),
    ("gateway.attempt_succeeded", None, {**CHARGE, "number": 2}),
    ("payment.succeeded", 3, {"event_id": "e3"}),
    ("event.relayed", 3, {"event_id": "e3"}),
    ("webhook.scheduled", None, {"delivery_id": "d", "event_id": "e3"}),
    ("webhook.attempt_failed", None, {"delivery_id": "d", "number": 1}),
    ("webhook.attempt_delivered", None, {"delivery_id": "d", "number": 2}),
]
# The merchant is told of its end.
TOLD_STORY: list[Step] = [
    *STORY[:10],
    ("notification.scheduled", None, {"notification_id": "n", "event_id": "e3"}),
    ("notification.sent", None, {"notification_id": "n", "number": 2}),
]
# Then it is refunded at the second attempt, and the bank returns the refund. Both have events with sequences 1 to 3.
REFUND_STORY: list[Step] = [
    ("refund.created", 1, {"event_id": "r1", "refund_id": "r"}),
    ("operation.accepted", None, {**REFUND, "cause": "merchant"}),
    ("event.relayed", 1, {"event_id": "r1", "refund_id": "r"}),
    ("gateway.attempt_started", None, {**REFUND, "number": 1}),
    ("gateway.attempt_unknown", None, {**REFUND, "number": 1}),
    ("gateway.attempt_started", None, {**REFUND, "number": 2}),
    ("gateway.attempt_succeeded", None, {**REFUND, "number": 2}),
    ("refund.succeeded", 2, {"event_id": "r2", "refund_id": "r"}),
    ("payment.refunded", 4, {"event_id": "e4"}),
    ("gateway.refund_reversed", None, {"operation": "refund_reversal", "operation_id": "v"}),
    ("refund.failed", 3, {"event_id": "r3", "refund_id": "r"}),
    ("payment.succeeded", 5, {"event_id": "e5"}),
]
# A part of the amount is approved and given back. One transaction writes the three steps after the attempt.
PARTIAL_STORY: list[Step] = [
    ("payment.created", 1, {"event_id": "e1"}),
    ("event.relayed", 1, {"event_id": "e1"}),
    ("payment.processing", 2, {"event_id": "e2"}),
    ("gateway.attempt_started", None, {**CHARGE, "number": 1}),
    ("gateway.attempt_partial", None, {**CHARGE, "number": 1}),
    ("payment.failed", 3, {"event_id": "e3"}),
    ("gateway.charge_to_return", None, {"gateway_id": "g"}),
    ("operation.accepted", None, {**UNDO, "cause": "partial_approval"}),
    ("gateway.attempt_started", None, {**UNDO, "number": 1}),
    ("gateway.attempt_succeeded", None, {**UNDO, "number": 1}),
]
# A payment that screening holds and a merchant approves before the relay has published the review.
REVIEW_STORY: list[Step] = [
    ("payment.created", 1, {"event_id": "e1"}),
    ("event.relayed", 1, {"event_id": "e1"}),
    ("screening.decided", None, {"decision": "review"}),
    ("payment.review", 2, {"event_id": "e2"}),
    ("review.approved", None, {"by": "merchant"}),
    ("payment.processing", 3, {"event_id": "e3"}),
    ("gateway.attempt_started", None, {**CHARGE, "number": 1}),
    ("gateway.attempt_succeeded", None, {**CHARGE, "number": 1}),
    ("payment.succeeded", 4, {"event_id": "e4"}),
]
BLOCKED_STORY: list[Step] = [
    *REVIEW_STORY[:2],
    ("screening.decided", None, {"decision": "block"}),
    ("payment.failed", 2, {"event_id": "e2"}),
]

EXHAUSTED_STORY: list[Step] = [
    *STORY[:12],
    ("webhook.attempt_failed", None, {"delivery_id": "d", "number": 2}),
    ("webhook.exhausted", 4, {"event_id": "x", "delivery_id": "d", "attempts": 2}),
]


def told(*seconds: float, story: list[Step] = STORY) -> list[TimelineEntry]:
    """Return the story with these times, in seconds from its start."""
    return [
        TimelineEntry(type_, START + timedelta(seconds=after), sequence, details)
        for (type_, sequence, details), after in zip(story, seconds, strict=True)
    ]


def places_in(ordered: list[TimelineEntry], story: list[Step]) -> list[int]:
    """Return where each step of the story is in the order."""
    place = {(entry.type, str(entry.details)): at for at, entry in enumerate(ordered)}
    places = [place[type_, str(details)] for type_, _, details in story]
    assert sorted(places) == list(range(len(story)))
    return places


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
        places = places_in(ordered, STORY)
        # The chain up to the first attempt, that of the events, that of each attempt and that of the webhook.
        for chain in ((0, 1, 2, 3), (0, 2, 8, 9, 10, 11, 12), (3, 4), (3, 5, 6, 7)):
            assert [places[step] for step in chain] == sorted(places[step] for step in chain)

    def test_an_answer_that_came_after_the_next_attempt_stays_there(self) -> None:
        entries = [
            TimelineEntry("gateway.attempt_started", START, None, {**CHARGE, "number": 1}),
            TimelineEntry("gateway.attempt_started", START + timedelta(seconds=5), None, {**CHARGE, "number": 2}),
            TimelineEntry("gateway.attempt_succeeded", START + timedelta(seconds=9), None, {**CHARGE, "number": 1}),
        ]
        assert in_causal_order(reversed(entries)) == entries

    @given(st.permutations(told(*range(len(STORY + REFUND_STORY)), story=STORY + REFUND_STORY)))
    def test_a_refund_has_a_history_within_that_of_its_payment(self, entries: list[TimelineEntry]) -> None:
        assert kinds(in_causal_order(entries)) == STORY + REFUND_STORY

    @given(st.permutations(told(*[0] * len(PARTIAL_STORY), story=PARTIAL_STORY)))
    def test_what_is_undone_comes_before_its_undoing_at_equal_times(self, entries: list[TimelineEntry]) -> None:
        assert kinds(in_causal_order(entries)) == PARTIAL_STORY

    @given(st.permutations(told(*[0, 0, 1, 2, 3, 4, 5, 5, 5, 6, 6, 6], story=REFUND_STORY)))
    def test_one_transaction_settles_a_refund_before_its_payment(self, entries: list[TimelineEntry]) -> None:
        assert kinds(in_causal_order(entries)) == REFUND_STORY

    @given(st.lists(st.integers(-3600, 3600), min_size=len(STORY + REFUND_STORY), max_size=len(STORY + REFUND_STORY)))
    def test_no_clock_puts_a_refund_before_the_charge_or_its_own_causes(self, seconds: list[int]) -> None:
        story = STORY + REFUND_STORY
        ordered = in_causal_order(told(*seconds, story=story))
        places = places_in(ordered, story)
        first = len(STORY)
        # The charge, then the refund's creation, its attempts, its events, the payment's events and the reversal.
        for chain in (
            (7, first, first + 3, first + 4),
            (7, first + 1, first + 3, first + 5, first + 6),
            (first, first + 7, first + 10),
            (8, first + 8, first + 11),
            (7, first + 9),
        ):
            assert [places[step] for step in chain] == sorted(places[step] for step in chain)

    @given(st.lists(st.integers(0, 9), min_size=8, max_size=8), st.integers(2, 5))
    def test_operations_of_one_payment_do_not_mix(self, seconds: list[int], count: int) -> None:
        steps: list[Step] = []
        for number in range(count):
            operation = {"operation": "refund", "operation_id": f"r{number}"}
            steps += [
                ("operation.accepted", None, operation),
                ("gateway.attempt_started", None, {**operation, "number": 1}),
                ("gateway.attempt_unknown", None, {**operation, "number": 1}),
                ("gateway.attempt_started", None, {**operation, "number": 2}),
            ]
        times = (seconds * count)[: len(steps)]
        places = places_in(in_causal_order(told(*times, story=steps)), steps)
        for first in range(0, len(steps), 4):
            assert places[first] < places[first + 1] < min(places[first + 2], places[first + 3])

    def test_a_payment_that_is_approved_before_its_review_is_published(self) -> None:
        """The relay is slower than the merchant: what it notes then is not dated back to before the approval."""
        entries = [
            TimelineEntry("payment.created", START, 1, {"event_id": "e1"}),
            TimelineEntry("event.relayed", START + timedelta(seconds=1), None, {"event_id": "e1"}),
            TimelineEntry("payment.review", START + timedelta(seconds=2), 2, {"event_id": "e2"}),
            TimelineEntry("payment.processing", START + timedelta(seconds=3), 3, {"event_id": "e3"}),
            TimelineEntry("event.relayed", START + timedelta(seconds=4), None, {"event_id": "e2"}),
        ]
        assert in_causal_order(reversed(entries)) == entries

    def test_many_operations_are_ordered_quickly(self) -> None:
        count = 2_000
        steps: list[Step] = [("gateway.attempt_succeeded", None, {**CHARGE, "number": 1})]
        for number in range(count):
            operation = {"operation": "refund", "operation_id": f"r{number}"}
            steps += [
                ("refund.created", 1, {"event_id": f"e{number}", "refund_id": f"r{number}"}),
                ("operation.accepted", None, operation),
                ("gateway.attempt_started", None, {**operation, "number": 1}),
            ]
        entries = told(*range(len(steps)), story=steps)
        began = time.process_time()
        assert kinds(in_causal_order(reversed(entries))) == steps
        # Quadratic work would take minutes.
        assert time.process_time() - began < 5

    @given(st.permutations(told(*[0] * len(REVIEW_STORY), story=REVIEW_STORY)))
    def test_a_review_comes_between_the_screening_and_the_charge(self, entries: list[TimelineEntry]) -> None:
        assert kinds(in_causal_order(entries)) == REVIEW_STORY

    @given(st.permutations(told(*[0] * len(TOLD_STORY), story=TOLD_STORY)))
    def test_a_notification_comes_after_its_event(self, entries: list[TimelineEntry]) -> None:
        assert kinds(in_causal_order(entries)) == TOLD_STORY

    @given(st.permutations(told(*[0] * len(BLOCKED_STORY), story=BLOCKED_STORY)))
    def test_a_blocked_payment_is_screened_before_it_fails(self, entries: list[TimelineEntry]) -> None:
        assert kinds(in_causal_order(entries)) == BLOCKED_STORY

    @given(st.lists(st.integers(-3600, 3600), min_size=len(REVIEW_STORY), max_size=len(REVIEW_STORY)))
    def test_no_clock_puts_a_review_out_of_its_place(self, seconds: list[int]) -> None:
        places = places_in(in_causal_order(told(*seconds, story=REVIEW_STORY)), REVIEW_STORY)
        for chain in ((0, 1, 2, 3, 4, 5, 6, 7), (5, 8)):
            assert [places[step] for step in chain] == sorted(places[step] for step in chain)

    @given(st.lists(st.integers(-3600, 3600), min_size=3, max_size=3))
    def test_no_clock_puts_the_end_of_a_webhook_before_its_last_attempt(self, seconds: list[int]) -> None:
        entries = told(*[0] * 11, *seconds, story=EXHAUSTED_STORY)
        assert kinds(in_causal_order(reversed(entries)))[-3:] == EXHAUSTED_STORY[-3:]

    def test_a_review_that_is_closed_later_does_not_move_its_cancellation(self) -> None:
        steps = [
            *REVIEW_STORY[:4],
            ("payment.canceled", 3, {"event_id": "e3"}),
            ("review.closed", None, {"by": "expiry"}),
        ]
        entries = told(*range(len(steps)), story=steps)
        assert in_causal_order(reversed(entries)) == entries
