"""Seals: every block of journals has a hash that covers the hash of the block before it.

Changing a sealed journal means changing every later seal as well. An operator who has noted one hash elsewhere sees
that.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

BLOCK_JOURNALS_MAX = 1000


class SealPosition(NamedTuple):
    """The place of a journal in the order of seals: the number of its transaction, its event and its rule."""

    xid: int
    event_id: UUID
    rule: int


class SealedJournal(NamedTuple):
    """A journal and the bytes of all that it says, transfers and accounts included."""

    position: SealPosition
    content: bytes


class Block(NamedTuple):
    """Journals that follow each other: where they begin, and how many they are."""

    first: SealPosition
    size: int


class Seal(NamedTuple):
    """The seal of a block, which ends at `last`. The head of a chain without blocks has number 0."""

    number: int
    last: SealPosition
    hash: bytes
    previous_hash: bytes


def first_hash(book: int) -> bytes:
    """Return the hash with which the chain of a book begins."""
    return sha256(f"book {book}".encode()).digest()


def seal_block(journals: Sequence[SealedJournal], previous: Seal) -> Seal:
    """Return the seal of these journals, which follow those of the previous seal. Raises ValueError for none."""
    if not journals:
        raise ValueError("a block has at least one journal")
    number = previous.number + 1
    return Seal(number, journals[-1].position, block_hash(journals, number, previous.hash), previous.hash)


def block_hash(journals: Sequence[SealedJournal], number: int, previous_hash: bytes) -> bytes:
    """Return the hash of a block. The length of each journal is part of it, so that no two blocks look alike."""
    hash_ = sha256(previous_hash)
    hash_.update(number.to_bytes(8, "big"))
    for journal in journals:
        hash_.update(len(journal.content).to_bytes(4, "big"))
        hash_.update(journal.content)
    return hash_.digest()


def fault_of_block(
    journals: Sequence[SealedJournal], block: Block, seal: Seal, previous: Seal, *, limit: int
) -> str | None:
    """Return what is wrong with a sealed block, None if nothing is. `journals` are what is there now."""
    if seal.number != previous.number + 1:
        return f"seal {previous.number + 1} is missing"
    if seal.previous_hash != previous.hash:
        return f"seal {seal.number} does not continue seal {previous.number}"
    if len(journals) != block.size:
        found = f"at least {len(journals)}" if len(journals) == limit else str(len(journals))
        return f"seal {seal.number} covers {block.size} journals, and there are {found}"
    if block_hash(journals, seal.number, previous.hash) != seal.hash:
        return f"a journal of seal {seal.number} was changed: its hash is not the sealed one"
    return None
