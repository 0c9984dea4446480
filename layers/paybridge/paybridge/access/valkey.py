"""Token buckets in Valkey (or Redis), in place of those in the database."""

from __future__ import annotations

from collections.abc import Sequence

import valkey
from valkey.exceptions import ValkeyError

from paybridge.access.domain.rate_limit import plan_of
from paybridge.access.ports import LimitedBucket, TakenTokens
from paybridge.core.errors import LimiterUnavailable

TIMEOUT_SECONDS = 1.0

# For each bucket: capacity and refill a second. The server's clock tells the time, as the database's does otherwise. A
# bucket that is full again is forgotten.
_TAKE = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1000000
local granted = tonumber(ARGV[1])
local filled = {}
for i, key in ipairs(KEYS) do
    local capacity, refill = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local kept = redis.call('HMGET', key, 'tokens', 'at')
    local tokens = capacity
    if kept[1] then
        tokens = math.min(capacity, tonumber(kept[1]) + refill * math.max(0, now - tonumber(kept[2])))
    end
    filled[i] = tokens
    granted = math.min(granted, math.floor(tokens))
end
local left = {}
for i, key in ipairs(KEYS) do
    local capacity, refill = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local tokens = filled[i] - granted
    redis.call('HSET', key, 'tokens', string.format('%.9f', tokens), 'at', string.format('%.6f', now))
    redis.call('PEXPIRE', key, math.ceil((capacity - tokens) / refill * 1000) + 1000)
    left[i] = string.format('%.9f', tokens)
end
return {granted, unpack(left)}
"""


class ValkeyBuckets:
    """Buckets at a URL such as `rediss://cache.example.com:6379/0`."""

    def __init__(self, url: str) -> None:
        client = valkey.Valkey.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, decode_responses=True
        )
        self._take = client.register_script(_TAKE)

    def take(self, buckets: Sequence[LimitedBucket], wanted: int) -> TakenTokens:
        """Take up to `wanted` tokens, the same number from each bucket. Raises LimiterUnavailable."""
        # One hash slot for all buckets of a merchant would need a tag. A cluster is not what this is for.
        keys = [f"paybridge:bucket:{bucket.subject}" for bucket in buckets]
        plans = [plan_of(bucket.limit) for bucket in buckets]
        numbers = [number for plan in plans for number in (plan.capacity, plan.refill_per_second)]
        try:
            granted, *left = self._take(keys=keys, args=[wanted, *numbers])
        except ValkeyError as error:
            raise LimiterUnavailable("The server of the rate limits does not answer.") from error
        return TakenTokens(int(granted), tuple(map(float, left)))
