"""Patterns of event types."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.event_patterns import FAMILIES, is_pattern, matches
from paybridge.core.events import PUBLIC_TYPES

types = st.sampled_from(PUBLIC_TYPES)


class TestIsPattern:
    @pytest.mark.parametrize("text", ["*", *sorted(FAMILIES), *PUBLIC_TYPES])
    def test_what_chooses_a_type_is_one(self, text: str) -> None:
        assert is_pattern(text)
        assert any(matches([text], type_) for type_ in PUBLIC_TYPES)

    @pytest.mark.parametrize(
        "text", ["", "payment", "payment.", "payment.*.*", "payment.suc*", "**", "*.succeeded", "Payment.*", "x.*"]
    )
    def test_anything_else_is_none(self, text: str) -> None:
        assert not is_pattern(text)


class TestMatches:
    @given(types)
    def test_a_type_is_chosen_by_itself_its_family_and_everything(self, type_: str) -> None:
        family = type_.partition(".")[0] + ".*"
        assert all(matches([pattern], type_) for pattern in (type_, family, "*"))
        assert not matches([], type_)

    @given(types, types)
    def test_a_family_chooses_its_own_types_alone(self, one: str, other: str) -> None:
        family = one.partition(".")[0]
        assert matches([f"{family}.*"], other) == (other.partition(".")[0] == family)
        assert matches([one], other) == (one == other)
