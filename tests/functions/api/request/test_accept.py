"""CSV is chosen by those who ask for it, and JSON by all others."""

from __future__ import annotations

import pytest

from api.request.accept import prefers


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("text/csv", True),
        ("TEXT/CSV; charset=utf-8", True),
        ("text/csv, */*;q=0.1", True),
        ("text/csv, */*", True),
        ("application/json;q=0.5, text/csv;q=0.6", True),
        ("application/json, text/csv;q=0.5", False),
        ("application/json, text/csv", False),
        ("text/csv;q=0", False),
        ("text/*", False),
        ("*/*", False),
        ("", False),
        ("text/csv;q=high", True),
        (";;,,q=1", False),
    ],
)
def test_the_header_decides(accept: str, chosen: bool) -> None:
    assert prefers(accept, "text/csv", "application/json") is chosen
