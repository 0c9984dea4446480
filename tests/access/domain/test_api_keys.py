"""The form of API keys."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.access.domain.api_keys import (
    BASE62,
    KEY_PATTERN,
    RANDOM_CHARACTERS,
    checksum,
    expiry_after_rotation,
    is_mistyped,
    key_of,
    may_be_key,
)
from paybridge.access.new_secrets import new_api_key

NOW = datetime(2026, 12, 1, tzinfo=UTC)
bodies = st.text(st.sampled_from(BASE62), min_size=RANDOM_CHARACTERS, max_size=RANDOM_CHARACTERS)


class TestKeyOf:
    @given(bodies)
    def test_has_the_published_pattern_and_its_own_checksum(self, body: str) -> None:
        key = key_of(body)
        assert re.fullmatch(KEY_PATTERN, key)
        assert may_be_key(key)
        assert not is_mistyped(key)

    @given(bodies, st.integers(4, 39), st.sampled_from(BASE62))
    def test_a_changed_character_is_noticed(self, body: str, position: int, character: str) -> None:
        key = key_of(body)
        changed = key[:position] + character + key[position + 1 :]
        assert is_mistyped(changed) == (changed != key)

    @given(bodies, st.integers(4, 38))
    def test_two_characters_that_change_places_are_noticed(self, body: str, position: int) -> None:
        key = key_of(body)
        swapped = key[:position] + key[position + 1] + key[position] + key[position + 2 :]
        assert may_be_key(swapped) == (swapped == key)

    def test_the_checksum_is_that_of_zlib_in_base62(self) -> None:
        # CRC-32 of thirty zeros is 2011552642.
        assert checksum("0" * RANDOM_CHARACTERS) == "2C8GjS"


class TestMayBeKey:
    @given(st.text(max_size=60))
    def test_other_texts_are_no_keys(self, text: str) -> None:
        assert not may_be_key(text)

    def test_new_keys_differ(self) -> None:
        keys = {new_api_key() for _ in range(1000)}
        assert len(keys) == 1000
        assert all(map(may_be_key, keys))


class TestExpiryAfterRotation:
    @given(st.integers(0, 7 * 86400))
    def test_is_the_overlap_later_to_the_second(self, seconds: int) -> None:
        assert expiry_after_rotation(None, NOW, seconds) == NOW + timedelta(seconds=seconds)

    @pytest.mark.parametrize(("left", "overlap"), [(10, 20), (20, 10), (10, 0)])
    def test_never_prolongs_a_key(self, left: int, overlap: int) -> None:
        ends_at = expiry_after_rotation(NOW + timedelta(seconds=left), NOW, overlap)
        assert ends_at == NOW + timedelta(seconds=min(left, overlap))
