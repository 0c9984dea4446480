"""Counters and points give what a plain count over all payments gives, however these come in batches."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from paybridge.fraud.domain.counting import Key, Point, Tally, count, key_of, keys_of, looks_of, totals_of
from paybridge.fraud.domain.rules import Count, Per, ScreenedPayment, Window

OWNER, MERCHANT = "11111111-1111-7111-8111-111111111111", uuid.UUID(int=3)
START = datetime(2026, 11, 20, tzinfo=UTC)
WINDOWS = (Window(Per.CUSTOMER, 10), Window(Per.CUSTOMER, 60), Window(Per.PAYMENT_METHOD, 30), Window(Per.MERCHANT, 5))

PAYMENTS = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["m", "n", None]),
    st.sampled_from(["EUR", "JPY"]),
    st.integers(1, 10**15 - 1),
)
# Batches, each some seconds after the one before; a clock may go back.
BATCHES = st.lists(st.tuples(st.integers(-20, 40), st.lists(PAYMENTS, min_size=1, max_size=5)), max_size=8)


class Store:
    """The counters and points of the database, in memory."""

    def __init__(self) -> None:
        self.tallies: dict[Key, Tally] = {}
        self.points: dict[Key, list[Point]] = {}

    def screen(self, batch: list[ScreenedPayment]) -> list[dict[Window, Count]]:
        keyed = [(payment, keys_of(OWNER, payment, Per)) for payment in batch]
        totals = totals_of(keyed)
        tallies = {key: self._copy(key) for key in totals}
        stored = {}
        for look in looks_of(keyed, {MERCHANT: WINDOWS}):
            if look.key in self.tallies:
                since = self.tallies[look.key].time_of(look.at) - timedelta(seconds=look.window_seconds)
                first = next((point for point in self.points[look.key] if point.at > since), None)
                if first is not None:
                    stored[look] = first
        counts = [count(payment, keys, WINDOWS, tallies, stored) for payment, keys in keyed]
        for key, tally in tallies.items():
            known = self.points.setdefault(key, [])
            known += [point for point in tally.points if not known or point.at > known[-1].at]
            if key not in self.tallies:
                assert (tally.count, tally.sums, tally.last_at) == (
                    totals[key].count,
                    totals[key].sums,
                    totals[key].last_at,
                )
            self.tallies[key] = Tally(tally.count, dict(tally.sums), tally.last_at)
        return counts

    def _copy(self, key: Key) -> Tally:
        known = self.tallies.get(key)
        return Tally() if known is None else Tally(known.count, dict(known.sums), known.last_at)


def plain_count(
    payment: ScreenedPayment, window: Window, earlier: Mapping[Key, list[tuple[datetime, str, int]]]
) -> Count | None:
    value = payment.key(window.per)
    if value is None:
        return None
    counted = earlier.get(key_of(OWNER, window.per, value), [])
    now = max([payment.at, *(at for at, _, _ in counted)])
    within = [each for each in counted if each[0] > now - timedelta(seconds=window.seconds)]
    return Count(len(within), sum(amount for _, currency, amount in within if currency == payment.currency))


@given(BATCHES)
def test_every_window_of_every_payment(
    batches: list[tuple[int, list[tuple[str | None, str | None, str, int]]]],
) -> None:
    store, now = Store(), START
    earlier: dict[Key, list[tuple[datetime, str, int]]] = {}
    for seconds, orders in batches:
        now += timedelta(seconds=seconds)
        batch = [
            ScreenedPayment(
                payment_id=uuid.uuid4(),
                merchant_id=MERCHANT,
                at=now,
                amount_minor=amount,
                currency=currency,
                currency_places=2,
                customer=customer,
                payment_method=method,
            )
            for customer, method, currency, amount in orders
        ]
        for payment, found in zip(batch, store.screen(batch), strict=True):
            expected = {window: plain_count(payment, window, earlier) for window in WINDOWS}
            assert found == {window: counted for window, counted in expected.items() if counted is not None}
            for key in keys_of(OWNER, payment, Per).values():
                known = earlier.setdefault(key, [])
                known.append((max([payment.at, *(at for at, _, _ in known)]), payment.currency, payment.amount_minor))


def test_keys_of_different_kinds_and_owners_differ() -> None:
    other = "22222222-2222-7222-8222-222222222222"
    keys = [key_of(owner, per, "x") for owner in (OWNER, other) for per in Per]
    assert len(set(keys)) == len(keys)
    assert key_of(OWNER, Per.CUSTOMER, "x") == key_of(OWNER, Per.CUSTOMER, "x")
