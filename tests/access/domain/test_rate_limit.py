"""The arithmetic of rate limits."""

from __future__ import annotations

import math

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.access.domain.rate_limit import (
    BURST_MAX,
    PER_SECOND_MAX,
    RateLimit,
    limit_field,
    next_wanted,
    plan_of,
    policy_field,
    stricter,
    wait_seconds,
)

limits = st.builds(RateLimit, st.integers(1, PER_SECOND_MAX), st.integers(1, BURST_MAX))


class TestStricter:
    @given(limits, limits)
    def test_keeps_both(self, one: RateLimit, other: RateLimit) -> None:
        both = stricter(one, other)
        assert both is not None
        assert all(both.per_second <= each.per_second and both.burst <= each.burst for each in (one, other))
        assert both == stricter(other, one)

    @given(limits)
    def test_no_limit_leaves_the_other(self, limit: RateLimit) -> None:
        assert stricter(limit, None) == stricter(None, limit) == stricter(limit, limit) == limit
        assert stricter(None, None) is None


class TestPlanOf:
    @given(limits, st.floats(0, 10_000))
    def test_what_is_taken_in_a_window_and_a_lease_never_exceeds_the_limit(
        self, limit: RateLimit, seconds: float
    ) -> None:
        plan = plan_of(limit)
        taken_max = math.floor(plan.capacity + plan.refill_per_second * (seconds + plan.lease_seconds) - 1e-9)
        allowed = limit.burst + limit.per_second * seconds
        # One request is never too close to another: a single one is within every burst.
        assert taken_max <= max(1, allowed + 1e-6)

    @given(limits)
    def test_a_bucket_holds_a_request_and_a_lease_outlives_an_answer(self, limit: RateLimit) -> None:
        plan = plan_of(limit)
        assert plan.capacity >= 1
        assert 0.05 <= plan.lease_seconds <= 1.0
        assert plan.wanted_max >= 1

    @given(limits.filter(lambda limit: limit.burst * 5 >= limit.per_second))
    def test_with_a_usual_burst_the_whole_rate_is_granted(self, limit: RateLimit) -> None:
        plan = plan_of(limit)
        if plan.capacity > 1:
            assert plan.refill_per_second == limit.per_second
            assert plan.capacity >= limit.burst * 0.7


class TestNextWanted:
    @given(st.integers(1, 10_000), st.lists(limits.map(plan_of), min_size=1, max_size=2))
    def test_doubles_up_to_a_part_of_what_a_lease_may_use(self, previous: int, plans: list) -> None:  # type: ignore[type-arg]
        wanted = next_wanted(previous, tuple(plans))
        assert 1 <= wanted <= previous * 2
        assert wanted == 1 or all(wanted <= plan.refill_per_second * plan.lease_seconds for plan in plans)


class TestWaitSeconds:
    @given(limits, st.floats(0, 0.999))
    def test_after_the_wait_there_is_a_token(self, limit: RateLimit, tokens: float) -> None:
        plan = plan_of(limit)
        assert tokens + plan.refill_per_second * wait_seconds(tokens, plan) >= 1 - 1e-9


class TestFields:
    @given(limits, st.floats(0, 1))
    def test_are_structured_fields(self, limit: RateLimit, part: float) -> None:
        plan = plan_of(limit)
        ((name, parameters),) = http_sf.parse(policy_field("key", limit).encode(), tltype="list")
        assert (name, parameters["q"]) == ("key", limit.burst)
        assert parameters["w"] >= 1
        ((name, parameters),) = http_sf.parse(limit_field("key", plan.capacity * part, plan).encode(), tltype="list")
        assert name == "key"
        assert 0 <= parameters["r"] <= limit.burst
        assert parameters["t"] >= 0

    @pytest.mark.parametrize(
        ("limit", "text"), [(RateLimit(50, 100), '"key";q=100;w=2'), (RateLimit(3, 1), '"key";q=1;w=1')]
    )
    def test_the_policy_is_the_burst_and_its_window(self, limit: RateLimit, text: str) -> None:
        assert policy_field("key", limit) == text
