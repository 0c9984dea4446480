"""Hashes of accounts do not depend on slices, and every difference of two books is found."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.ledger.domain.accounts import AccountKey, AccountKind, account_name
from paybridge.ledger.domain.proof import (
    ENTRY_BYTES,
    ComparedJournal,
    ComparedTransfer,
    DifferenceKind,
    Digest,
    JournalKey,
    TotalHash,
    add_entries,
    begin_digest,
    find_differences,
)

MERCHANT = uuid.UUID(int=7)
AVAILABLE = AccountKey(MERCHANT, AccountKind.AVAILABLE, "EUR", 2)
CLEARING = AccountKey(None, AccountKind.GATEWAY_CLEARING, "EUR", 2)
FEES = AccountKey(None, AccountKind.FEES, "EUR", 2)
NAME = account_name(AVAILABLE)
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def journal(number: int, amount: int = 1000, fee: int = 30) -> ComparedJournal:
    return ComparedJournal(
        key=JournalKey(uuid.UUID(int=number), 2),
        id=uuid.UUID(int=number + 1000),
        rule_name="capture",
        rule_version=1,
        happened_at=AT,
        payment_id=uuid.UUID(int=number + 2000),
        operation_id=None,
        transfers=(
            ComparedTransfer(1, CLEARING, AVAILABLE, amount),
            ComparedTransfer(2, AVAILABLE, FEES, fee),
        ),
    )


def by_key(*journals: ComparedJournal) -> dict[JournalKey, ComparedJournal]:
    return {each.key: each for each in journals}


class TestAddEntries:
    @given(
        st.lists(st.binary(min_size=ENTRY_BYTES, max_size=ENTRY_BYTES), max_size=12),
        st.lists(st.integers(0, 12), max_size=4),
    )
    def test_the_cut_into_slices_changes_nothing(self, entries: list[bytes], cuts: list[int]) -> None:
        whole = add_entries(begin_digest(NAME), b"".join(entries))
        digest, last = begin_digest(NAME), 0
        for cut in [*sorted(cut for cut in cuts if cut <= len(entries)), len(entries)]:
            digest, last = add_entries(digest, b"".join(entries[last:cut])), cut
        assert digest == whole
        assert digest.entries == len(entries)

    def test_is_the_chain_that_the_documentation_describes(self) -> None:
        first, second = b"a" * ENTRY_BYTES, b"b" * ENTRY_BYTES
        begin = sha256(f"{MERCHANT}/available/EUR/2".encode()).digest()
        expected = sha256(sha256(begin + first).digest() + second).digest()
        assert add_entries(begin_digest(NAME), first + second).hash == expected

    @given(st.lists(st.binary(min_size=ENTRY_BYTES, max_size=ENTRY_BYTES), min_size=2, max_size=6, unique=True))
    def test_order_and_absence_change_the_hash(self, entries: list[bytes]) -> None:
        hashes = {
            add_entries(begin_digest(NAME), b"".join(chosen)).hash
            for chosen in (entries, entries[::-1], entries[1:], entries[:-1])
        }
        assert len(hashes) == 4

    def test_refuses_a_part_of_an_entry(self) -> None:
        with pytest.raises(ValueError, match="no whole entries"):
            add_entries(begin_digest(NAME), b"a")


class TestTotalHash:
    def test_an_account_without_entries_changes_nothing(self) -> None:
        one, other = TotalHash(), TotalHash()
        other.add(NAME, begin_digest(NAME))
        one.add(account_name(CLEARING), Digest(b"x" * 32, 1))
        other.add(account_name(CLEARING), Digest(b"x" * 32, 1))
        assert one.hexdigest() == other.hexdigest()

    def test_name_hash_and_count_matter(self) -> None:
        totals = set()
        for name, digest in (
            (CLEARING, Digest(b"x" * 32, 1)),
            (CLEARING, Digest(b"y" * 32, 1)),
            (CLEARING, Digest(b"x" * 32, 2)),
            (FEES, Digest(b"x" * 32, 1)),
        ):
            total = TotalHash()
            total.add(account_name(name), digest)
            totals.add(total.hexdigest())
        assert len(totals) == 4

    def test_refuses_accounts_out_of_order(self) -> None:
        total = TotalHash()
        total.add(account_name(CLEARING), Digest(b"x" * 32, 1))
        with pytest.raises(ValueError, match="after"):
            total.add(account_name(FEES), Digest(b"x" * 32, 1))


class TestFindDifferences:
    def test_equal_books_have_none(self) -> None:
        assert not list(find_differences(by_key(journal(1), journal(2)), by_key(journal(2), journal(1))))

    def test_a_journal_that_the_live_book_lacks_is_missing(self) -> None:
        (found,) = find_differences(by_key(journal(1)), by_key(journal(1), journal(2)))
        assert found.kind is DifferenceKind.MISSING
        assert found.view()["live"] is None
        assert found.view()["rebuilt"]["transfers"][0]["amount_minor"] == "1000"
        assert found.account == CLEARING

    def test_a_journal_that_no_event_makes_is_extra(self) -> None:
        (found,) = find_differences(by_key(journal(1), journal(2)), by_key(journal(1)))
        assert found.kind is DifferenceKind.EXTRA
        assert found.view()["rebuilt"] is None

    def test_another_amount_names_the_account_of_that_transfer(self) -> None:
        (found,) = find_differences(by_key(journal(1, fee=30)), by_key(journal(1, fee=31)))
        assert found.kind is DifferenceKind.DIFFERENT
        assert found.account == AVAILABLE

    def test_another_account_is_named_and_the_equal_side_is_not(self) -> None:
        moved = ComparedTransfer(2, AVAILABLE, CLEARING, 30)
        changed = replace(journal(1), transfers=(journal(1).transfers[0], moved))
        (found,) = find_differences(by_key(journal(1)), by_key(changed))
        assert found.account == FEES

    @pytest.mark.parametrize(
        "changes",
        [{"rule_version": 2, "id": uuid.UUID(int=9)}, {"happened_at": AT + timedelta(seconds=1)}, {"payment_id": None}],
        ids=["version", "time", "payment"],
    )
    def test_another_version_time_or_payment_differs(self, changes: dict[str, object]) -> None:
        (found,) = find_differences(by_key(journal(1)), by_key(replace(journal(1), **changes)))
        assert found.kind is DifferenceKind.DIFFERENT
        assert found.account == CLEARING

    @given(
        st.dictionaries(st.integers(1, 30), st.integers(1, 3), max_size=15),
        st.dictionaries(st.integers(1, 30), st.integers(1, 3), max_size=15),
    )
    def test_names_exactly_the_keys_whose_values_differ(self, live: dict[int, int], rebuilt: dict[int, int]) -> None:
        found = find_differences(
            by_key(*(journal(number, amount) for number, amount in live.items())),
            by_key(*(journal(number, amount) for number, amount in rebuilt.items())),
        )
        expected = [number for number in sorted(live | rebuilt) if live.get(number) != rebuilt.get(number)]
        assert [each.key.event_id.int for each in found] == expected
