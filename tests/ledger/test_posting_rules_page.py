"""The page for accountants says what the code posts, to the minor unit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import accumulate
from pathlib import Path

from local.testkit.ledger import MoneyEvents
from paybridge.access.domain.fees import FeeChange, FeeRule
from paybridge.core.events import Event
from paybridge.ledger.domain.accounts import AccountKind, balance_minor, format_signed
from paybridge.ledger.domain.journals import Journal
from paybridge.ledger.domain.rules import RULES, journal_of
from tests.support.folding import fold

PAGE = (Path(__file__).parents[2] / "docs/operators/posting-rules.md").read_text(encoding="utf-8")


def table(first: str) -> list[list[str]]:
    """The rows of the table whose head begins with this column; an empty first cell repeats the one above."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |")) + 2
    rows: list[list[str]] = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def journals() -> list[Journal]:
    """The journals of the worked example."""
    maker = MoneyEvents()
    history = [FeeChange(maker.now - timedelta(days=1), FeeRule("2.9", {"EUR": "0.30"}))]
    events: list[Event] = [
        maker.succeeded("100.00"),
        maker.refunded("40.00"),
        maker.refund_failed("40.00"),
        maker.payout("created", "96.80"),
        maker.payout("paid", "96.80"),
    ]
    made = [journal_of(replace(event), history) for event in events]
    return [journal for journal in made if journal is not None]


def test_the_table_is_that_of_the_code() -> None:
    written = [
        [rule.name if first else "", rule.event if first else "", *map(str, move)]
        for rule in RULES
        for first, move in ((move is rule.moves[0], move) for move in rule.moves)
    ]
    assert table("Rule") == written


def test_the_steps_are_what_is_posted() -> None:
    posted = [
        [str(debit.kind), str(credit.kind), format_signed(minor, debit.places)]
        for journal in journals()
        for debit, credit, minor in journal.transfers
    ]
    assert [row[1:] for row in table("Step")] == posted


def test_the_balances_are_those_of_the_code() -> None:
    columns = ("gateway_clearing", "available", "reserved", "fees", "payouts_paid")
    shown = []
    for known in accumulate([journal] for journal in journals()):
        totals = {key.kind: balance_minor(key.kind, *each) for key, each in fold(known).items()}
        minors = [totals.get(AccountKind(column), 0) for column in columns]
        assert minors[0] == sum(minors[1:])
        shown.append([format_signed(minor, 2) for minor in minors])
    assert [row[1:] for row in table("After")] == shown
