"""Pages that fit into an answer of the function."""

from __future__ import annotations

import json

import orjson
from hypothesis import given
from hypothesis import strategies as st

from api.pages import count_fitting

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


class TestCountFitting:
    @given(texts=st.lists(TEXTS, max_size=20), bytes_max=st.integers(1, 1500))
    def test_the_most_that_fit_and_at_least_one(self, texts: list[str], bytes_max: int) -> None:
        items = [orjson.dumps(text) for text in texts]
        count = count_fitting(items, bytes_max)
        assert count >= min(len(items), 1)
        assert count <= 1 or size(items[:count]) <= bytes_max
        assert count == len(items) or size(items[: count + 1]) > bytes_max

    def test_no_items_are_no_page_of_any(self) -> None:
        assert count_fitting([]) == 0


def size(items: list[bytes]) -> int:
    """Return the bytes of the items in the answer of the function."""
    return sum(len(json.dumps(item.decode())) for item in items)
