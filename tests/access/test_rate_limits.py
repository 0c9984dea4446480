"""Rate limits over a real database and a real Valkey: exact across processes, and cheap."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from api.callers import KNOWN_SECONDS, KnownCallers, LimitReached
from local.testkit.valkey_server import ValkeyServer
from paybridge.access.create_key import KeyCreator, KeyOrder, create_key
from paybridge.access.create_merchant import create_merchant
from paybridge.access.domain.api_keys import key_hash
from paybridge.access.domain.caller import Role
from paybridge.access.domain.merchants import MerchantDetails
from paybridge.access.domain.rate_limit import RateLimit, plan_of
from paybridge.access.identify import CallerDirectory
from paybridge.access.ports import AdmittedCaller, TakenTokens
from paybridge.access.revoke_key import revoke_key
from paybridge.access.valkey import ValkeyBuckets
from paybridge.core.clock import SystemClock
from paybridge.core.errors import LimiterUnavailable
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from tests.support.rate_limits import excess

pytestmark = pytest.mark.integration

PROCESSES = 8
# Longer runs: PAYBRIDGE_TEST_LIMIT_SECONDS=60.
SECONDS = float(os.environ.get("PAYBRIDGE_TEST_LIMIT_SECONDS", "2.5"))
# What processes may take beyond SECONDS until each key was admitted twice, because leases of 50 ms are lost while other
# tests have the cores.
ADMITTED_SECONDS_MAX = 60.0
# What eight interpreters need to start and to hand over what they have seen.
STARTED_SECONDS_MAX = 120.0
TIMEOUT_SECONDS = SECONDS + ADMITTED_SECONDS_MAX + STARTED_SECONDS_MAX
LIMITS = [RateLimit(200, 50), RateLimit(40, 40), RateLimit(30, 1), RateLimit(200, 20)]
# A process that stalls loses the tokens of its lease, so a single window may show less than is granted.
WINDOWS_MAX = 20


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture(scope="module", params=["in the database", "in Valkey"])
def valkey_url(request: pytest.FixtureRequest) -> str:
    """URL of the Valkey that holds the buckets, empty where the database does."""
    if request.param == "in the database":
        return ""
    server: ValkeyServer = request.getfixturevalue("valkey_server")
    return server.url


def limited_key(
    database: Database, key_limit: RateLimit | None, merchant_limit: RateLimit | None = None
) -> tuple[str, uuid.UUID, uuid.UUID]:
    """A new merchant's key with these limits, the key's id and the merchant's."""
    clock, ids = SystemClock(), Uuid7Ids()
    merchant = create_merchant(database, clock, ids, MerchantDetails(name="Busy", rate_limit=merchant_limit)).merchant
    order = KeyOrder(role=Role.MERCHANT, merchant_id=merchant.id, rate_limit=key_limit)
    created = create_key(database, clock, ids, order, created_by=KeyCreator("test"))
    return created.api_key, created.key.id, merchant.id


class Environment:
    """One environment of the API: what it knows of callers, when it decided, and how many tokens it asked for.

    The buckets are in the Valkey at the URL, or in the database if it is empty.
    """

    def __init__(self, database: Database, valkey_url: str, read_clock: Callable[[], float] = time.monotonic) -> None:
        self._read_clock = read_clock
        self.decided_at = 0.0
        self.asked: list[int] = []
        self.directory = CallerDirectory(database, ValkeyBuckets(valkey_url) if valkey_url else None)
        self.known = KnownCallers(self.monotonic, self.take)

    def monotonic(self) -> float:
        """The clock, which remembers when it was last read: the moment of the decision."""
        self.decided_at = self._read_clock()
        return self.decided_at

    def admit(self, api_key: str) -> bool:
        """Whether a request is admitted now."""
        digest = key_hash(api_key)
        try:
            self.known.admit(digest, lambda wanted: self.admit_key(digest, wanted))
        except (LimitReached, LimiterUnavailable):
            # A machine that is busy with other tests may be slower than a short lease.
            return False
        return True

    def admit_key(self, digest: bytes, wanted: int) -> AdmittedCaller | None:
        self.asked.append(wanted)
        return self.directory.admit_key(digest, wanted)

    def take(self, caller: AdmittedCaller, wanted: int) -> TakenTokens | None:
        taken = self.directory.take(caller, wanted)
        if taken is not None:
            self.asked.append(wanted)
        return taken


def standing_clock() -> float:
    """A clock that no stall of the machine moves."""
    return 1000.0


@dataclass(frozen=True, slots=True)
class Race:
    """What concurrent processes share."""

    keys: tuple[str, ...]
    starts: Any
    # Admissions per key, over all processes. Unlocked: a lost count does no harm, and no process waits for another.
    admissions: Any
    results: Any

    def note(self, key: str) -> None:
        """Count an admission."""
        self.admissions[self.keys.index(key)] += 1

    def is_over(self, seconds: float) -> bool:
        """Return whether SECONDS have passed and each key was admitted twice, or ADMITTED_SECONDS_MAX more."""
        return seconds >= SECONDS and (min(self.admissions) >= 2 or seconds >= SECONDS + ADMITTED_SECONDS_MAX)


def work(address: DatabaseAddress, valkey_url: str, seed: int, race: Race) -> None:
    """Ask as fast as it goes, with pauses now and then, and report when each key's requests were admitted."""
    chance = random.Random(seed)
    admitted: dict[str, list[float]] = {key: [] for key in race.keys}
    with closing(Database(address)) as database:
        environment = Environment(database, valkey_url)
        race.starts.wait()
        begun_at = time.monotonic()
        while not race.is_over(time.monotonic() - begun_at):
            key = chance.choice(race.keys)
            if environment.admit(key):
                admitted[key].append(environment.decided_at)
                race.note(key)
            elif chance.random() < 0.5:
                time.sleep(chance.random() * 0.01)
            if chance.random() < 0.01:
                time.sleep(chance.random() * 0.1)
    race.results.put(admitted)


def run_processes(address: DatabaseAddress, valkey_url: str, keys: Sequence[str], count: int) -> dict[str, list[float]]:
    """When each key's requests were admitted by any of the processes, in order."""
    context = multiprocessing.get_context("spawn")
    race = Race(tuple(keys), context.Barrier(count + 1), context.Array("i", len(keys), lock=False), context.Queue())
    processes = [
        context.Process(target=work, args=(address, valkey_url, seed, race), daemon=True) for seed in range(count)
    ]
    for process in processes:
        process.start()
    race.starts.wait(STARTED_SECONDS_MAX)
    parts = [race.results.get(timeout=TIMEOUT_SECONDS) for _ in processes]
    for process in processes:
        process.join()
    return {key: sorted(moment for part in parts for moment in part[key]) for key in keys}


class TestAcrossProcesses:
    @pytest.mark.timeout(TIMEOUT_SECONDS)
    def test_no_window_of_any_length_exceeds_the_limit(
        self, database: Database, database_address: DatabaseAddress, valkey_url: str
    ) -> None:
        keys = {limited_key(database, limit)[0]: limit for limit in LIMITS}
        admitted = run_processes(database_address, valkey_url, list(keys), PROCESSES)
        for key, limit in keys.items():
            assert len(admitted[key]) > 1
            assert excess(admitted[key], limit) <= 0, limit

    @pytest.mark.timeout(TIMEOUT_SECONDS)
    def test_the_keys_of_a_merchant_share_its_limit(
        self, database: Database, database_address: DatabaseAddress, valkey_url: str
    ) -> None:
        limit = RateLimit(100, 30)
        key, _, merchant_id = limited_key(database, RateLimit(80, 40), limit)
        order = KeyOrder(role=Role.MERCHANT, merchant_id=merchant_id)
        other = create_key(database, SystemClock(), Uuid7Ids(), order, created_by=KeyCreator("test")).api_key
        admitted = run_processes(database_address, valkey_url, [key, other], 4)
        assert excess(admitted[key], RateLimit(80, 40)) <= 0
        assert excess(sorted(admitted[key] + admitted[other]), limit) <= 0

    @pytest.mark.timeout(WINDOWS_MAX * SECONDS + 60)
    def test_one_busy_process_is_granted_almost_all(self, database: Database, valkey_url: str) -> None:
        limit = RateLimit(400, 100)
        windows = (self.admitted_in_a_window(database, valkey_url, limit) for _ in range(WINDOWS_MAX))
        assert any(admitted >= 0.9 * limit.per_second * SECONDS for admitted in windows)

    def admitted_in_a_window(self, database: Database, valkey_url: str, limit: RateLimit) -> int:
        """Return how many requests of a new key are admitted in SECONDS. They never exceed its limit."""
        key, _, _ = limited_key(database, limit)
        environment = Environment(database, valkey_url)
        begun_at = time.monotonic()
        admitted = []
        while time.monotonic() < begun_at + SECONDS:
            if environment.admit(key):
                admitted.append(environment.decided_at)
            else:
                time.sleep(0.001)
        assert excess(admitted, limit) <= 0
        return len(admitted)


class TestSql:
    @pytest.mark.parametrize("per_second", [1, 2, 7, 30, 99, 100, 1000, 12_345, 100_000])
    @pytest.mark.parametrize("burst", [1, 2, 5, 50, 1000, 1_000_000])
    def test_plans_as_the_domain_does(self, database: Database, per_second: int, burst: int) -> None:
        plan = plan_of(RateLimit(per_second, burst))
        ((capacity, refill),) = database.run(
            Statement("SELECT capacity, refill_per_second FROM bucket_plan(:per_second::integer, :burst::integer)"),
            per_second=per_second,
            burst=burst,
        )
        assert (capacity, refill) == pytest.approx((plan.capacity, plan.refill_per_second), rel=1e-12)

    def test_a_caller_without_a_limit_has_no_bucket(self, database: Database) -> None:
        key, key_id, merchant_id = limited_key(database, None)
        found = CallerDirectory(database).admit_key(key_hash(key), 5)
        assert found is not None
        assert (found.buckets, found.taken) == ((), None)
        count = Statement("SELECT count(*) FROM rate_buckets WHERE subject IN (:key::uuid, :merchant::uuid)")
        assert database.run(count, key=key_id, merchant=merchant_id) == [[0]]

    def test_the_last_use_is_written_once_a_minute(self, database: Database) -> None:
        key, key_id, _ = limited_key(database, None)
        read = Statement("SELECT last_used_at FROM api_keys WHERE id = :id::uuid")
        assert database.run(read, id=key_id) == [[None]]
        directory = CallerDirectory(database)
        directory.admit_key(key_hash(key), 1)
        ((first,),) = database.run(read, id=key_id)
        directory.admit_key(key_hash(key), 1)
        assert database.run(read, id=key_id) == [[first]]
        database.run(
            Statement("UPDATE api_keys SET last_used_at = now() - interval '61 s' WHERE id = :id::uuid"), id=key_id
        )
        directory.admit_key(key_hash(key), 1)
        assert database.run(read, id=key_id)[0][0] >= first


class TestEnvironment:
    def test_without_a_limit_a_caller_is_asked_for_once(self, database: Database, valkey_url: str) -> None:
        key, _, _ = limited_key(database, None)
        environment = Environment(database, valkey_url, standing_clock)
        assert all(environment.admit(key) for _ in range(500))
        assert len(environment.asked) == 1

    def test_leases_grow_so_that_few_requests_ask(self, database: Database, valkey_url: str) -> None:
        key, _, _ = limited_key(database, RateLimit(10_000, 5_000))
        environment = Environment(database, valkey_url, standing_clock)
        admitted = sum(environment.admit(key) for _ in range(1000))
        assert admitted == 1000
        assert len(environment.asked) <= 20

    def test_a_refused_caller_is_not_asked_for_again_before_it_may_pass(
        self, database: Database, valkey_url: str
    ) -> None:
        limit = RateLimit(1, 1)
        key, _, _ = limited_key(database, limit)
        environment = Environment(database, valkey_url, standing_clock)
        begun_at = time.monotonic()
        admitted = sum(environment.admit(key) for _ in range(200))
        # The bucket is refilled by its server's clock, which goes on.
        assert 1 <= admitted <= 1 + limit.per_second * (time.monotonic() - begun_at)
        assert len(environment.asked) <= admitted + 2

    def test_a_revocation_ends_a_lease_in_time(self, database: Database, valkey_url: str) -> None:
        key, key_id, _ = limited_key(database, RateLimit(100, 100))
        now = [1000.0]
        directory = Environment(database, valkey_url).directory
        known = KnownCallers(lambda: now[0], directory.take)
        digest = key_hash(key)
        assert known.admit(digest, lambda wanted: directory.admit_key(digest, wanted)).caller is not None
        revoke_key(database, SystemClock(), None, key_id, revoked_by="test")
        now[0] += KNOWN_SECONDS
        assert known.admit(digest, lambda wanted: directory.admit_key(digest, wanted)).caller is None
