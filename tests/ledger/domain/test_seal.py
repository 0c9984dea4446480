"""A seal covers every journal of its block and every seal before it."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.ledger.domain.seal import (
    Block,
    Seal,
    SealedJournal,
    SealPosition,
    block_hash,
    fault_of_block,
    first_hash,
    seal_block,
)

HEAD = Seal(0, SealPosition(0, uuid.UUID(int=0), 0), first_hash(1), b"")


def journals_of(*contents: bytes) -> list[SealedJournal]:
    return [SealedJournal(SealPosition(7, uuid.UUID(int=n), 1), text) for n, text in enumerate(contents)]


class TestSealBlock:
    def test_continues_the_chain(self) -> None:
        first = seal_block(journals_of(b"a", b"b"), HEAD)
        second = seal_block(journals_of(b"c"), first)
        assert (first.number, second.number) == (1, 2)
        assert second.previous_hash == first.hash
        assert first.last == SealPosition(7, uuid.UUID(int=1), 1)

    def test_an_earlier_change_changes_every_later_seal(self) -> None:
        ends = set()
        for contents in ((b"a", b"b"), (b"a", b"x"), (b"ab",), (b"b", b"a")):
            ends.add(seal_block(journals_of(b"c"), seal_block(journals_of(*contents), HEAD)).hash)
        assert len(ends) == 4

    def test_each_book_has_another_chain(self) -> None:
        assert first_hash(1) != first_hash(2)

    def test_refuses_an_empty_block(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            seal_block([], HEAD)


class TestBlockHash:
    @given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
    def test_two_blocks_are_alike_only_if_they_are_equal(self, one: list[bytes], other: list[bytes]) -> None:
        hashes = [block_hash(journals_of(*contents), 1, b"p") for contents in (one, other)]
        assert (hashes[0] == hashes[1]) == (one == other)


class TestFaultOfBlock:
    def fault(self, contents: tuple[bytes, ...], **changes: object) -> str | None:
        seal = seal_block(journals_of(b"a", b"b"), HEAD)._replace(**changes)
        block = Block(SealPosition(7, uuid.UUID(int=0), 1), 2)
        return fault_of_block(journals_of(*contents), block, seal, HEAD, limit=3)

    def test_an_intact_block_has_none(self) -> None:
        assert self.fault((b"a", b"b")) is None

    @pytest.mark.parametrize(
        ("contents", "changes", "fault"),
        [
            ((b"a", b"x"), {}, "a journal of seal 1 was changed"),
            ((b"a",), {}, "covers 2 journals, and there are 1"),
            ((b"a", b"b", b"c"), {}, "covers 2 journals, and there are at least 3"),
            ((b"a", b"b"), {"number": 2}, "seal 1 is missing"),
            ((b"a", b"b"), {"previous_hash": b"x"}, "seal 1 does not continue seal 0"),
            ((b"a", b"b"), {"hash": b"x"}, "a journal of seal 1 was changed"),
        ],
        ids=["changed", "removed", "added", "gap", "chain", "hash"],
    )
    def test_names_the_fault(self, contents: tuple[bytes, ...], changes: dict[str, object], fault: str) -> None:
        assert fault in str(self.fault(contents, **changes))
