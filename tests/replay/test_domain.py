"""What a replay chooses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from paybridge.core.event_patterns import matches
from paybridge.core.events import PUBLIC_TYPES
from paybridge.core.times import lowest_id
from paybridge.outbox.consumers import expression_of, takes
from paybridge.replay.domain import is_type, slice_size, time_of

FAMILIES = sorted({f"{type_.partition('.')[0]}.*" for type_ in PUBLIC_TYPES})


@given(st.lists(st.sampled_from([*PUBLIC_TYPES, *FAMILIES]), min_size=1, max_size=5))
def test_types_and_families_choose_as_webhook_endpoints_do(chosen: list[str]) -> None:
    for type_ in PUBLIC_TYPES:
        assert bool(re.search(expression_of(chosen), type_)) == matches(chosen, type_)


@pytest.mark.parametrize(
    ("keys", "type_", "is_taken"),
    [
        (("payment.succeeded",), "payment.succeeded", True),
        (("payment.succeeded",), "payment.failed", False),
        (("payment.succeeded",), "payment.succeededx", False),
        (("payment.*",), "payment.failed", True),
        (("payment.succeeded",), "payment.*", True),
        (("payment.*",), "refund.*", False),
        (("#",), "charge.taken", True),
        (("#",), "charge.*", True),
    ],
)
def test_a_queue_takes_what_its_keys_let_through(keys: tuple[str, ...], type_: str, is_taken: bool) -> None:
    assert takes(keys, type_) is is_taken


@pytest.mark.parametrize("text", ["", "payment", "*", "#", "payment.", "Payment.x", "payment.a.b", "payment.'", ".*"])
def test_other_texts_are_no_types(text: str) -> None:
    assert not is_type(text)
    assert is_type("payment.succeeded")
    assert is_type("payment.*")


def test_an_id_tells_its_millisecond() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    id_ = UUID(str(uuid7()))
    assert before <= time_of(id_) <= datetime.now(UTC)
    assert time_of(lowest_id(time_of(id_))) == time_of(id_)
    assert lowest_id(time_of(id_)) <= id_ < lowest_id(time_of(id_) + timedelta(milliseconds=1))


@pytest.mark.parametrize(("rate", "size"), [(0.1, 1), (4.0, 1), (9.0, 2), (200.0, 50), (2000.0, 500)])
def test_a_slice_is_a_quarter_of_a_second(rate: float, size: int) -> None:
    assert slice_size(rate) == size
