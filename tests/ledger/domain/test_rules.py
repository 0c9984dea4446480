"""The posting rules as a table: every journal balances, and the book is a fold of events in any order."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.testkit.ledger import MoneyEvents
from paybridge.access.domain.fees import FeeChange, FeeRule
from paybridge.core.events import Event
from paybridge.ledger.domain.accounts import DEBIT_KINDS, AccountKind, balance_minor
from paybridge.ledger.domain.journals import Journal
from paybridge.ledger.domain.rules import RULES, journal_of
from tests.support.folding import fold

START = datetime(2026, 12, 1, tzinfo=UTC)
MERCHANTS = [uuid.UUID(int=number) for number in (1, 2, 3)]
HISTORY = [FeeChange(START, FeeRule("2.9", {"EUR": "0.30"})), FeeChange(START + timedelta(days=1), None)]

amounts = st.integers(1, 10**15)
_PLACES = {"EUR": 2, "JPY": 0, "KWD": 3}


def text(minor: int, currency: str) -> str:
    places = _PLACES[currency]
    digits = str(minor).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any event that moves money."""
    currency = draw(st.sampled_from([*_PLACES]))
    maker = MoneyEvents(
        draw(st.sampled_from(MERCHANTS)), currency, START + draw(st.timedeltas(timedelta(0), timedelta(2)))
    )
    small, large = sorted((draw(amounts), draw(amounts)))
    amount, authorized = text(small, currency), text(large, currency)
    return draw(
        st.sampled_from(
            [
                maker.authorized(amount),
                maker.succeeded(amount),
                maker.succeeded(amount, type="capture", authorized=authorized),
                maker.failed(type="capture", amount=amount, authorized=authorized),
                maker.failed(type="charge", amount=amount, taken_back=True),
                maker.canceled(amount),
                maker.refunded(amount),
                maker.refund_failed(amount),
                maker.charge_taken(amount),
                maker.charge_returned(amount),
                *(maker.payout(what, amount) for what in ("created", "paid", "failed")),
            ]
        )
    )


def posted(event: Event) -> Journal:
    journal = journal_of(event, HISTORY)
    assert journal is not None
    return journal


class TestJournalOf:
    @given(event=events())
    def test_every_journal_balances_within_its_currency(self, event: Event) -> None:
        journal = posted(event)
        accounts = [key for debit, credit, _ in journal.transfers for key in (debit, credit)]
        assert {(key.currency, key.places) for key in accounts} == {(journal.currency, accounts[0].places)}
        totals = fold([journal]).values()
        assert sum(each.debits_minor for each in totals) == sum(each.credits_minor for each in totals) > 0
        assert all(amount > 0 and debit != credit for debit, credit, amount in journal.transfers)
        assert {key.owner for key in accounts} <= {journal.owner, None}

    @given(made=st.lists(events(), max_size=12), seed=st.integers())
    def test_the_book_does_not_depend_on_order_or_repetition(self, made: list[Event], seed: int) -> None:
        shuffled = [*made, *made, *made]
        random.Random(seed).shuffle(shuffled)
        assert fold(map(posted, shuffled)) == fold(map(posted, made))

    @given(made=st.lists(events(), max_size=12))
    def test_what_the_gateway_owes_is_what_the_house_and_the_merchants_own(self, made: list[Event]) -> None:
        sides: Counter[str] = Counter()
        for key, totals in fold(map(posted, made)).items():
            sign = 1 if key.kind in DEBIT_KINDS else -1
            sides[key.currency] += sign * balance_minor(key.kind, *totals)
        assert all(difference == 0 for difference in sides.values())

    def test_the_id_follows_from_event_rule_and_version(self) -> None:
        event = replace(MoneyEvents().succeeded("1.00"), id=uuid.UUID("019a9f3c-5b6d-7c3e-9f40-9f38f9a4d444"))
        journal = posted(event)
        assert journal.id == uuid.uuid5(event.id, "capture/1")
        assert journal == posted(event)
        changed = [replace(rule, version=2) for rule in RULES]
        again = journal_of(event, HISTORY, changed)
        assert again is not None
        assert again.id == uuid.uuid5(event.id, "capture/2")
        assert again.transfers == journal.transfers

    def test_no_two_rules_are_about_the_same(self) -> None:
        cases = [
            (rule.event, operation, taken_back)
            for rule in RULES
            for operation in rule.operations
            for taken_back in (True, False)
            if rule.taken_back in (None, taken_back)
        ]
        assert len(cases) == len(set(cases))

    def test_numbers_and_names_are_used_once(self) -> None:
        assert len({rule.number for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)

    def test_the_migration_knows_every_kind_of_account(self) -> None:
        versions = Path(__file__).parents[3] / "layers/paybridge/paybridge/database/migrations/versions"
        script = next(versions.glob("*_ledger.py")).read_text()
        assert all(f"'{kind}'" in script for kind in AccountKind)


class TestOlderEvents:
    """Events without the member `operation`, of older releases."""

    def of_view(self, type_: str, sequence: int = 3, **view: object) -> Journal | None:
        whole = {
            "currency": "EUR",
            "amount": "100.00",
            "amount_captured": "0.00",
            "amount_capturable": "0.00",
            "capture": "automatic",
            "capture_before": None,
            "screening": None,
            **view,
        }
        return journal_of(replace(MoneyEvents().failed(), type=type_, data=whole, sequence=sequence))

    def moves(self, journal: Journal | None) -> list[tuple[str, str, int]]:
        assert journal is not None
        return [(str(debit.kind), str(credit.kind), minor) for debit, credit, minor in journal.transfers]

    def test_a_charge(self) -> None:
        journal = self.of_view("payment.succeeded", amount_captured="100.00")
        assert self.moves(journal) == [("gateway_clearing", "available", 10000)]

    def test_a_capture_of_a_part(self) -> None:
        journal = self.of_view("payment.succeeded", 4, amount_captured="60.00", capture="manual")
        assert self.moves(journal) == [
            ("pending", "gateway_authorized", 10000),
            ("gateway_clearing", "available", 6000),
        ]

    def test_a_hold_and_its_end(self) -> None:
        journal = self.of_view("payment.requires_capture", amount_capturable="100.00", capture="manual")
        assert self.moves(journal) == [("gateway_authorized", "pending", 10000)]
        for type_ in ("payment.canceled", "payment.failed"):
            assert self.moves(self.of_view(type_, capture_before="2026-12-08T12:00:00.000000+00:00")) == [
                ("pending", "gateway_authorized", 10000)
            ]
            assert self.of_view(type_) is None

    @pytest.mark.parametrize(
        ("sequence", "view"), [(5, {}), (6, {"capture": "manual"}), (6, {"screening": {"decision": "review"}})]
    )
    def test_a_payment_that_succeeds_again_is_not_charged_again(self, sequence: int, view: dict[str, object]) -> None:
        assert self.of_view("payment.succeeded", sequence, amount_captured="100.00", **view) is None
