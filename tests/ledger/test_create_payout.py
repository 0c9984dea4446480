"""Payouts never take more than there is, and a lock is never told as a lack of money."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from queue import Queue
from typing import Any

import orjson
import pytest

from local.testkit.ledger import MoneyEvents, balances
from local.testkit.locks import WaitingDatabase
from local.testkit.payments import new_merchant
from paybridge.core.clock import SystemClock
from paybridge.core.errors import ConstraintViolated, InvalidInput, LockTimeout
from paybridge.core.events import parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.ledger.create_payout import (
    Insufficient,
    KeyTaken,
    Ordered,
    PayoutOrder,
    PayoutResult,
    create_payout,
)
from paybridge.ledger.domain.payouts import PayoutKey, PayoutOutcome, PayoutStatus
from paybridge.ledger.post import post_events
from paybridge.ledger.settle_payout import settle_payout
from tests.support.event_schemas import check_event

pytestmark = pytest.mark.integration

# More than the tries of one request, and far fewer than the server takes.
CONNECTIONS = 40
THREADS = 200

_EVENTS = Statement("""
    SELECT body FROM outbox WHERE merchant_id = :merchant_id::uuid AND subject_type = 'payout' ORDER BY sequence, id
""")
_JOURNALS = Statement("""
    SELECT count(*)::integer, count(DISTINCT event_id)::integer FROM ledger.journals
    WHERE owner = :merchant_id::uuid AND rule = 10
""")
_ACCOUNTS = Statement("SELECT id FROM ledger.accounts WHERE owner = :merchant_id::uuid ORDER BY id DESC")
_LOCK = Statement("SELECT id FROM ledger.accounts WHERE id = :id::bigint FOR UPDATE")
_IS_WAITING = Statement("""
    SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()
      AND pid IN (SELECT pid FROM pg_stat_activity WHERE query LIKE '%INSERT INTO ledger.payouts%'
                  AND datname = current_database())
""")
_WRONG_ORDER = Statement("""
    INSERT INTO ledger.payouts (id, merchant_id, currency, places, amount_minor, available_after_minor,
                                idempotency_key, fingerprint, correlation_id, created_at, updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, 'EUR', 2, :amount_minor::bigint, :after_minor::numeric, 'k', :print::bytea,
            'c', now(), now())
""")


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as connection:
        yield connection


@pytest.fixture
def merchant_id(database: Database) -> uuid.UUID:
    return new_merchant(database)


def funded(database: Database, merchant_id: uuid.UUID, amount: str, currency: str = "EUR") -> None:
    """Let the merchant have the amount available."""
    assert post_events(database, [MoneyEvents(merchant_id, currency).succeeded(amount)]).posted == 1


def order(
    database: Database, merchant_id: uuid.UUID, amount_minor: int, key: str | None = None, currency: str = "EUR"
) -> PayoutResult:
    fingerprint = hashlib.sha256(f"{amount_minor} {currency}".encode()).digest()
    wanted = PayoutOrder(
        merchant_id=merchant_id,
        amount_minor=amount_minor,
        currency=currency,
        key=PayoutKey(key or str(uuid.uuid4()), fingerprint),
        correlation_id="c-1",
    )
    return create_payout(database, SystemClock(), Uuid7Ids(), wanted)


def ordered_until_told(
    database: Database, merchant_id: uuid.UUID, amount_minor: int, key: str | None = None
) -> PayoutResult:
    """Order as a client does: again with the same key while the answer is 503."""
    key = key or str(uuid.uuid4())
    while True:
        try:
            return order(database, merchant_id, amount_minor, key)
        except LockTimeout:
            continue


@contextmanager
def pooled(address: DatabaseAddress) -> Iterator[Callable[[Callable[[Database], Any]], Any]]:
    """Give what is run one of a few connections, as environments of the API have one each."""
    connections: Queue[Database] = Queue()
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connections.put(stack.enter_context(closing(Database(address))))

        def run(act: Callable[[Database], Any]) -> Any:
            connection = connections.get()
            try:
                return act(connection)
            finally:
                connections.put(connection)

        yield run


class TestOrder:
    def test_reserves_the_amount_with_its_journal_and_its_event(
        self, database: Database, merchant_id: uuid.UUID
    ) -> None:
        funded(database, merchant_id, "100.00")
        result = order(database, merchant_id, 3_000)
        assert isinstance(result, Ordered)
        assert not result.replayed
        assert balances(database, merchant_id) == {("available", "EUR"): 7_000, ("reserved", "EUR"): 3_000}
        [[body]] = database.run(_EVENTS, merchant_id=merchant_id)
        event = parse_envelope(orjson.loads(body))
        check_event(event)
        assert (event.type, event.data["amount"], event.subject_id) == ("payout.created", "30.00", result.payout.id)
        # The consumer of the event finds the journal there.
        assert post_events(database, [event]).repeated == 1
        assert database.run(_JOURNALS, merchant_id=merchant_id) == [[1, 1]]

    def test_all_there_is_and_not_one_unit_more(self, database: Database, merchant_id: uuid.UUID) -> None:
        funded(database, merchant_id, "100.00")
        assert order(database, merchant_id, 10_001) == Insufficient(10_000, 2)
        assert isinstance(order(database, merchant_id, 10_000), Ordered)
        assert order(database, merchant_id, 1) == Insufficient(0, 2)

    def test_a_merchant_without_money_has_nothing_available(self, database: Database, merchant_id: uuid.UUID) -> None:
        assert order(database, merchant_id, 1) == Insufficient(0, 2)
        assert balances(database, merchant_id) == {}

    def test_a_debt_is_told_as_it_is(self, database: Database, merchant_id: uuid.UUID) -> None:
        money = MoneyEvents(merchant_id)
        post_events(database, [money.succeeded("10.00"), money.refunded("25.00")])
        assert order(database, merchant_id, 1) == Insufficient(-1_500, 2)

    def test_currencies_are_apart_and_keep_their_places(self, database: Database, merchant_id: uuid.UUID) -> None:
        funded(database, merchant_id, "7.005", "KWD")
        assert order(database, merchant_id, 7_005) == Insufficient(0, 2)
        result = order(database, merchant_id, 7_005, currency="KWD")
        assert isinstance(result, Ordered)
        assert (result.payout.places, balances(database, merchant_id)["reserved", "KWD"]) == (3, 7_005)

    def test_a_currency_that_cannot_be_charged_is_refused(self, database: Database, merchant_id: uuid.UUID) -> None:
        with pytest.raises(InvalidInput, match="no minor unit"):
            order(database, merchant_id, 1, currency="XAU")


class TestKeys:
    def test_the_same_request_gets_the_same_payout(self, database: Database, merchant_id: uuid.UUID) -> None:
        funded(database, merchant_id, "100.00")
        first = order(database, merchant_id, 3_000, "k")
        assert isinstance(first, Ordered)
        settle_payout(database, SystemClock(), Uuid7Ids(), first.payout.id, PayoutOutcome.PAID, None, by="tests")
        # As it was ordered, though it is paid now and no money is left for a second one.
        order(database, merchant_id, 7_000)
        assert order(database, merchant_id, 3_000, "k") == Ordered(first.payout, replayed=True)

    def test_another_request_under_the_key_is_refused(self, database: Database, merchant_id: uuid.UUID) -> None:
        funded(database, merchant_id, "100.00")
        first = order(database, merchant_id, 3_000, "k")
        assert isinstance(first, Ordered)
        assert order(database, merchant_id, 3_001, "k") == KeyTaken(first.payout.id)

    def test_a_refused_request_leaves_its_key_free(self, database: Database, merchant_id: uuid.UUID) -> None:
        assert isinstance(order(database, merchant_id, 3_000, "k"), Insufficient)
        funded(database, merchant_id, "100.00")
        assert isinstance(order(database, merchant_id, 3_000, "k"), Ordered)

    def test_merchants_may_use_the_same_key(self, database: Database, merchant_id: uuid.UUID) -> None:
        other = new_merchant(database)
        for owner in (merchant_id, other):
            funded(database, owner, "100.00")
            assert isinstance(order(database, owner, 3_000, "k"), Ordered)

    def test_at_the_same_time_one_payout_is_made(
        self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID
    ) -> None:
        funded(database, merchant_id, "100.00")
        with pooled(database_address) as run, ThreadPoolExecutor(CONNECTIONS) as pool:
            asked = range(CONNECTIONS)
            results = list(
                pool.map(lambda _: run(lambda each: ordered_until_told(each, merchant_id, 3_000, "k")), asked)
            )
        assert len({result.payout.id for result in results}) == 1
        assert Counter(result.replayed for result in results) == {False: 1, True: CONNECTIONS - 1}
        assert balances(database, merchant_id)["reserved", "EUR"] == 3_000


class TestAtTheSameTime:
    def test_of_two_hundred_threads_those_are_paid_that_the_account_covers(
        self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID
    ) -> None:
        funded(database, merchant_id, "100.50")
        start = threading.Barrier(THREADS)

        def one(run: Callable[..., PayoutResult]) -> PayoutResult:
            start.wait()
            return run(lambda each: ordered_until_told(each, merchant_id, 100))

        with pooled(database_address) as run, ThreadPoolExecutor(THREADS) as pool:
            results = list(pool.map(one, [run] * THREADS))
        assert Counter(map(type, results)) == {Ordered: 100, Insufficient: 100}
        told = {result.available_minor for result in results if isinstance(result, Insufficient)}
        assert told == {50}
        assert balances(database, merchant_id) == {("available", "EUR"): 50, ("reserved", "EUR"): 10_000}
        assert database.run(_JOURNALS, merchant_id=merchant_id) == [[100, 100]]

    def test_beside_the_consumer_no_payout_is_refused_that_is_covered(
        self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID
    ) -> None:
        funded(database, merchant_id, "1000.00")
        payments = [MoneyEvents(merchant_id).succeeded("1.00") for _ in range(60)]

        def post(number: int) -> None:
            with closing(Database(database_address)) as connection:
                waiting = payments[number::3]
                while waiting:
                    try:
                        waiting = post_events(connection, waiting).locked
                    except LockTimeout:
                        continue

        with pooled(database_address) as run, ThreadPoolExecutor(CONNECTIONS) as pool:
            posting = [pool.submit(post, number) for number in range(3)]
            results = list(pool.map(lambda _: run(lambda each: ordered_until_told(each, merchant_id, 100)), range(100)))
            for each in posting:
                each.result()
        assert Counter(map(type, results)) == {Ordered: 100}
        assert balances(database, merchant_id) == {
            ("available", "EUR"): 100_000 + 6_000 - 10_000,
            ("reserved", "EUR"): 10_000,
        }

    def test_a_deadlock_is_tried_again_and_never_told_as_a_lack_of_money(
        self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID
    ) -> None:
        funded(database, merchant_id, "100.00")
        order(database, merchant_id, 100)
        reserved, available = (row[0] for row in database.run(_ACCOUNTS, merchant_id=merchant_id))
        results: list[PayoutResult] = []
        with (
            closing(Database(database_address)) as rival,
            closing(WaitingDatabase(database_address)) as own,
            ThreadPoolExecutor(1) as pool,
        ):
            # Either of the two may have to give way. Until it was the order.
            while not own.waits:
                with suppress(LockTimeout), rival.transaction() as transaction:
                    transaction.run(_LOCK, id=reserved)
                    ordering = pool.submit(order, own, merchant_id, 200)
                    while not database.run(_IS_WAITING)[0][0]:
                        assert not ordering.done(), "it should wait for the second account"
                    # The order holds the first account. Now each waits for the other.
                    transaction.run(_LOCK, id=available)
                results.append(ordering.result())
        assert {type(result) for result in results} == {Ordered}
        assert balances(database, merchant_id)["reserved", "EUR"] == 100 + 200 * len(results)


class TestConstraints:
    @pytest.mark.parametrize(
        ("amount_minor", "after_minor", "constraint"),
        [(1, -1, "payouts_are_covered"), (0, 0, "payouts_amount_is_positive")],
    )
    def test_a_wrong_statement_orders_nothing(
        self, database: Database, merchant_id: uuid.UUID, amount_minor: int, after_minor: int, constraint: str
    ) -> None:
        with pytest.raises(ConstraintViolated) as caught:
            database.run(
                _WRONG_ORDER,
                id=uuid.uuid4(),
                merchant_id=merchant_id,
                amount_minor=amount_minor,
                after_minor=after_minor,
                print=bytes(32),
            )
        assert caught.value.constraint == constraint

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE ledger.payouts SET amount_minor = 1 WHERE id = :id::uuid",
            "UPDATE ledger.payouts SET status = 'failed' WHERE id = :id::uuid",
            "UPDATE ledger.payouts SET status = 'pending' WHERE id = :id::uuid",
            "DELETE FROM ledger.payouts WHERE id = :id::uuid",
        ],
    )
    def test_a_payout_is_settled_once_and_never_changed(
        self, database: Database, merchant_id: uuid.UUID, change: str
    ) -> None:
        funded(database, merchant_id, "100.00")
        result = order(database, merchant_id, 100)
        assert isinstance(result, Ordered)
        settle_payout(database, SystemClock(), Uuid7Ids(), result.payout.id, PayoutOutcome.PAID, None, by="tests")
        with pytest.raises(ConstraintViolated) as caught:
            database.run(Statement(change), id=result.payout.id)
        assert caught.value.constraint == "payouts_settle_once"


class TestSettled:
    def test_states_are_those_of_the_outcomes(self) -> None:
        assert {*PayoutStatus} == {PayoutStatus.PENDING, *map(PayoutStatus, PayoutOutcome)}
