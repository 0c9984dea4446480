"""Pages that fit into an answer of the function.

Lambda refuses an answer of more than 6 MB. The body counts as a JSON string in the function's answer, in which a
character outside ASCII takes up to three bytes for each byte of UTF-8, and quotes and backslashes take two.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

# The rest is for the headers, and for what stands around the items.
PAGE_BYTES_MAX = 5 * 1024 * 1024
_GROWTH_MAX = 3


def count_fitting(items: Sequence[bytes], bytes_max: int = PAGE_BYTES_MAX) -> int:
    """Return how many of the items, each JSON text, fit into one answer: at least one if there is any."""
    # Pages that could not grow beyond the limit are almost all of them.
    if sum(map(len, items)) * _GROWTH_MAX <= bytes_max:
        return len(items)
    total = 0
    for count, item in enumerate(items):
        total += len(json.dumps(item.decode()))
        if total > bytes_max and count > 0:
            return count
    return len(items)


def page_response(items: Sequence[bytes], next_cursor: str | None) -> Response:
    """Return the answer with a page of a list. The items are JSON texts."""
    data = [orjson.Fragment(item) for item in items]
    return json_response({"data": data, "has_more": next_cursor is not None, "next_cursor": next_cursor})


def json_response(value: Any, headers: dict[str, str] | None = None) -> Response:
    """Return the answer 200 with this value."""
    return Response(orjson.dumps(value), 200, headers, "application/json")
