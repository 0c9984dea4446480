"""Which dead letters are the same, how they are grouped, and what a redrive leaves out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.raw_messages import RawMessage
from paybridge.dead_letters.domain import Death, death_of, fingerprint, redrive_headers, whole_queue

BROKER_DEATH = {
    "count": 1,
    "reason": "delivery_limit",
    "queue": "payments.new",
    "exchange": "payments",
    "routing-keys": ["payments.new"],
    "time": "Nov 28, 2026, 9:41:00 AM",
}
REDRIVE = UUID(int=7)


def raw(body: bytes = b"{}", **changes: Any) -> RawMessage:
    return RawMessage(**{"queue": "payments.dead", "body": body, **changes})


def died(body: bytes = b"{}", **changes: Any) -> Death:
    return death_of(raw(body, **changes))


class TestDeathOf:
    def test_our_own_headers_say_where_and_why(self) -> None:
        death = died(headers={"x-paybridge-reason": "unknown type x", "x-paybridge-queue": "webhooks"})
        assert (death.queue, death.reason, death.dead_letter_queue) == ("webhooks", "unknown type x", "payments.dead")

    def test_the_brokers_latest_death_says_it_otherwise(self) -> None:
        death = died(headers={"x-death": [BROKER_DEATH, {**BROKER_DEATH, "queue": "older", "reason": "expired"}]})
        assert (death.queue, death.reason) == ("payments.new", "delivery_limit")
        assert death.deaths[0]["time"] == BROKER_DEATH["time"]

    def test_a_message_that_says_nothing_died_where_it_is(self) -> None:
        death = died()
        assert (death.queue, death.reason) == ("payments.dead", "unknown")

    @pytest.mark.parametrize(
        "headers",
        [
            {"x-death": "no list"},
            {"x-death": [7, None, {"queue": 3, "reason": []}]},
            {"x-paybridge-reason": {"base64": "/w=="}, "x-paybridge-queue": 9},
            {"x-paybridge-reason": "  ", "x-first-death-queue": ""},
        ],
    )
    def test_headers_of_odd_types_are_passed_over(self, headers: dict[str, Any]) -> None:
        death = died(headers=headers)
        assert (death.queue, death.reason) == ("payments.dead", "unknown")

    def test_the_same_message_has_one_identity_whatever_killed_it(self) -> None:
        first = died(message_id="m", headers={"x-paybridge-queue": "webhooks", "x-paybridge-reason": "a"})
        again = died(message_id="m", headers={"x-death": [{**BROKER_DEATH, "queue": "webhooks"}]})
        assert first.identity == again.identity
        assert first.digest != again.digest

    @pytest.mark.parametrize(
        "other",
        [
            died(b"other", message_id="m"),
            died(message_id="n"),
            died(message_id="m", headers={"x-paybridge-queue": "webhooks"}),
        ],
    )
    def test_another_body_id_or_queue_is_another_message(self, other: Death) -> None:
        assert died(message_id="m").identity != other.identity

    def test_a_place_in_a_batch_is_no_id(self) -> None:
        assert died(message_id="poison-3").identity == died(message_id="poison-0").identity == died().identity

    def test_a_shard_is_the_same_queue(self) -> None:
        one, two = (died(headers={"x-paybridge-queue": f"payments.new.{number}"}) for number in (0, 5))
        assert (one.identity, one.fingerprint) == (two.identity, two.fingerprint)
        assert one.queue == "payments.new"

    def test_a_second_delivery_has_the_same_digest_although_its_counter_grew(self) -> None:
        first, second = (died(headers={"x-delivery-count": number, "a": 1}) for number in (0, 1))
        assert first.digest == second.digest

    @given(
        body=st.binary(max_size=200),
        message_id=st.text(max_size=300),
        headers=st.dictionaries(
            st.text(max_size=20) | st.sampled_from(["x-death", "x-paybridge-reason", "x-paybridge-queue"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=20),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                max_leaves=10,
            ),
            max_size=5,
        ),
    )
    def test_every_message_has_a_death(self, body: bytes, message_id: str, headers: dict[str, Any]) -> None:
        death = died(body, message_id=message_id, headers=headers)
        assert death.queue
        assert death.reason.strip()
        assert len(death.identity) == len(death.digest) == 32
        assert len(death.message_id) <= 255


class TestFingerprint:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("JSONDecodeError at character 7", "JSONDecodeError at character 1093"),
            ("no payment 4f5a2241-e542-4ae4-b095-e6b8a809a4ca", "no payment bfa84ed3-8df7-44e8-a840-f33c4d7a097f"),
            ("returned to its queue 21 times", "returned to its queue 22 times"),
            ("charge 3f9a0c2b7d failed", "charge 77aa0c2b00 failed"),
            ("took 1.5 s", "took 22.75 s"),
        ],
    )
    def test_numbers_and_ids_make_no_difference(self, one: str, other: str) -> None:
        assert fingerprint("payments.new", one) == fingerprint("payments.new", other)

    def test_reason_and_queue_do(self) -> None:
        assert len({fingerprint(queue, reason) for queue in ("a", "b") for reason in ("expired", "rejected")}) == 4

    @given(st.text(), st.text())
    def test_it_is_sixteen_hexadecimal_digits_for_any_text(self, queue: str, reason: str) -> None:
        found = fingerprint(queue, reason)
        assert len(found) == 16
        assert int(found, 16) >= 0


class TestRedriveHeaders:
    def test_counters_deaths_and_copies_are_left_out_and_the_senders_own_stay(self) -> None:
        headers = {
            "payment-id": "p",
            "x-tenant": 7,
            "x-death": [BROKER_DEATH],
            "X-Delivery-Count": 4,
            "x-acquired-count": 21,
            "x-first-death-queue": "payments.new",
            "x-last-death-reason": "rejected",
            "x-opt-enqueue-time": 1,
            "CC": ["webhooks"],
            "BCC": ["webhooks"],
            "x-paybridge-reason": "bad",
            "x-paybridge-queue": "payments.new",
            "x-paybridge-redrive": "an older one",
        }
        assert redrive_headers(headers, REDRIVE) == {
            "payment-id": "p",
            "x-tenant": 7,
            "x-paybridge-redrive": str(REDRIVE),
        }


@pytest.mark.parametrize(
    ("queue", "whole"), [("payments.new.11", "payments.new"), ("payments.new", "payments.new"), ("v2", "v2")]
)
def test_whole_queue(queue: str, whole: str) -> None:
    assert whole_queue(queue) == whole
