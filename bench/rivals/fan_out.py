"""The rival of `fan_out`: a Celery task for each event, and one for each of its deliveries."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from bench.receivers import Receivers
from bench.rivals.processes import CELERY_PRELOAD_EVENTS, CELERY_WORKER, Rival, rival
from bench.servers import Servers
from local.servers import postgres

# A tenth of ours, because it has a tenth of the rate.
DELIVERIES = 600
MERCHANTS = 20
QUEUE = "celery"
POLL_SECONDS = 0.05
SETTLE_SECONDS_MAX = 60.0

_ENDPOINT = "INSERT INTO endpoints (id, merchant_id, url) VALUES (gen_random_uuid(), :merchant_id, :url)"
_ENDED = """
    SELECT count(*), extract(epoch FROM max(delivered_at))::float8 FROM deliveries
    WHERE extract(epoch FROM delivered_at) > :started_at::float8
"""


@contextmanager
def celery_fan_out(
    servers: Servers, receivers: Receivers, endpoints: Sequence[int]
) -> Iterator[Callable[[int], float]]:
    """Yield a run of a Celery worker. Given a number of endpoints, a run returns deliveries per second."""
    url = servers.postgres.fresh_database(migrated=False)
    amqp_url = servers.broker.fresh_vhost().amqp_url
    with rival(servers.folder / "celery_fan_out", url, amqp_url, "") as contender:
        merchants = {number: _merchants(url, receivers, number) for number in endpoints}
        contender.start("worker", *CELERY_WORKER)
        contender.wait_for_consumer(QUEUE)
        contender.pause()
        yield lambda number: _run(contender, receivers, merchants[number], number)
    servers.postgres.drop_database(url)


def _merchants(database_url: str, receivers: Receivers, endpoints: int) -> list[uuid.UUID]:
    merchants = [uuid.uuid4() for _ in range(MERCHANTS)]
    with closing(postgres.connect(database_url)) as connection:
        for merchant_id in merchants:
            for number in range(endpoints):
                connection.run(_ENDPOINT, merchant_id=merchant_id, url=receivers.url(number, f"{merchant_id}/{number}"))
    return merchants


def _run(contender: Rival, receivers: Receivers, merchants: Sequence[uuid.UUID], endpoints: int) -> float:
    """Fill the queue of the paused worker, resume it, and return deliveries per second up to the last one recorded."""
    events = DELIVERIES // endpoints
    wanted = events * endpoints
    contender.run(*CELERY_PRELOAD_EVENTS, str(events), *map(str, merchants))
    with closing(postgres.connect(contender.database_url)) as connection:
        started_at = time.time()
        contender.resume()
        delivered, ended_at = 0, 0.0
        while delivered < wanted:
            if time.time() > started_at + SETTLE_SECONDS_MAX:
                raise RuntimeError(f"only {delivered} of {wanted} webhooks were delivered")
            time.sleep(POLL_SECONDS)
            ((delivered, ended_at),) = connection.run(_ENDED, started_at=started_at)
        contender.pause()
    counted = receivers.take()
    assert (counted.requests, counted.verified) == (wanted, wanted), f"{counted} of {wanted} webhooks"
    return wanted / (float(ended_at) - started_at)
