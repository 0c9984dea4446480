"""The bookkeeping of confirms: whatever the broker's order, every message has the word that was said of it."""

from __future__ import annotations

import asyncio
import random

from pamqp.commands import Basic

from paybridge.outbox.ports import Message
from paybridge.rabbitmq.fast.confirms import REFUSED, UNROUTABLE, SentBatch


def sent(count: int, first_tag: int = 1, ids: list[str] | None = None) -> SentBatch:
    names = ids or [f"m{number}" for number in range(count)]
    messages = [Message(name, "type", "exchange", "key", b"", "c") for name in names]
    return SentBatch(messages, first_tag, asyncio.get_running_loop().create_future())


def a_return() -> Basic.Return:
    return Basic.Return(312, "NO_ROUTE", "exchange", "key")


class TestSettle:
    async def test_one_by_one_in_any_order(self) -> None:
        batch = sent(5)
        for tag in (3, 1, 5, 2):
            batch.settle(tag, with_all_before=False, refusal=None)
        assert not batch.all_settled.done()
        batch.settle(4, with_all_before=False, refusal=None)
        assert batch.all_settled.done()
        assert batch.refusals == [None] * 5

    async def test_one_word_for_many(self) -> None:
        batch = sent(5)
        batch.settle(4, with_all_before=True, refusal=None)
        assert not batch.all_settled.done()
        batch.settle(5, with_all_before=True, refusal=REFUSED)
        assert batch.all_settled.done()
        assert batch.refusals == [None, None, None, None, REFUSED]

    async def test_a_refusal_of_many_leaves_out_what_was_confirmed(self) -> None:
        batch = sent(4)
        batch.settle(2, with_all_before=False, refusal=None)
        batch.settle(4, with_all_before=True, refusal=REFUSED)
        assert batch.refusals == [REFUSED, None, REFUSED, REFUSED]

    async def test_other_batches_are_left_out(self) -> None:
        first, second = sent(3), sent(3, first_tag=4)
        for tag, with_all_before in ((3, True), (2, False), (5, True)):
            for batch in (first, second):
                batch.settle(tag, with_all_before=with_all_before, refusal=None)
        assert first.all_settled.done()
        assert not second.all_settled.done()
        second.settle(6, with_all_before=False, refusal=None)
        assert second.all_settled.done()

    async def test_as_a_plain_bookkeeping_would(self) -> None:
        chance = random.Random(7)
        for _ in range(300):
            count = chance.randint(1, 12)
            batch, open_tags, refused = sent(count, first_tag=11), set(range(11, 11 + count)), set[int]()
            while open_tags:
                tag, many = chance.randint(5, 30), chance.random() < 0.3
                refusal = chance.choice([None, REFUSED])
                meant = {one for one in open_tags if one == tag or (many and one < tag)}
                open_tags -= meant
                refused |= meant if refusal else set()
                batch.settle(tag, with_all_before=many, refusal=refusal)
                assert batch.all_settled.done() == (not open_tags)
            assert [refusal is not None for refusal in batch.refusals] == [
                tag in refused for tag in range(11, 11 + count)
            ]


class TestReturned:
    async def test_it_is_confirmed_and_still_refused(self) -> None:
        batch = sent(3)
        assert batch.returned("m1", a_return())
        assert not batch.all_settled.done()
        batch.settle(3, with_all_before=True, refusal=None)
        assert batch.all_settled.done()
        assert batch.refusals == [None, UNROUTABLE, None]

    async def test_a_message_of_another_batch(self) -> None:
        assert not sent(3).returned("elsewhere", a_return())

    async def test_messages_with_one_id_come_back_one_after_the_other(self) -> None:
        batch = sent(3, ids=["same", "same", "other"])
        assert batch.returned("same", a_return())
        assert batch.returned("same", a_return())
        assert not batch.returned("same", a_return())
        assert batch.refusals == [UNROUTABLE, UNROUTABLE, None]


class TestRefuseUnsettled:
    async def test_only_what_nothing_was_said_of(self) -> None:
        batch = sent(3)
        batch.settle(2, with_all_before=False, refusal=None)
        batch.refuse_unsettled("late")
        assert batch.refusals == ["late", None, "late"]
