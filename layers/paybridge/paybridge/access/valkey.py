"""Token buckets in Valkey (or Redis), in place of those in the database."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import valkey
from valkey.credentials import CredentialProvider
from valkey.exceptions import AuthenticationError, ReadOnlyError, ValkeyError

from paybridge.access.domain.rate_limit import plan_of
from paybridge.access.ports import LimitedBucket, TakenTokens
from paybridge.core.errors import LimiterUnavailable, SecretUnavailable, SettingsInvalid
from paybridge.observability.logging import logger

# A limit of each step: resolving and reading the login aside, a server that hangs holds a request for no longer.
TIMEOUT_SECONDS = 1.0
# Secrets Manager may take 6 s to fail. Where a login is refused, every request makes a connection, and would ask again.
LOGIN_SECONDS = 5.0
TLS_SCHEMES = frozenset({"rediss", "valkeys"})
ERROR_CHARACTERS_MAX = 200

# For each bucket: capacity and refill a second. The server's clock tells the time, as the database's does otherwise. It
# may go back, when another server takes over, but no time is counted twice. A bucket that is full again is forgotten.
_TAKE = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1000000
local granted = tonumber(ARGV[1])
local filled, at = {}, {}
for i, key in ipairs(KEYS) do
    local capacity, refill = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local kept = redis.call('HMGET', key, 'tokens', 'at')
    local tokens = capacity
    at[i] = now
    if kept[1] then
        at[i] = math.max(now, tonumber(kept[2]))
        tokens = math.min(capacity, tonumber(kept[1]) + refill * (at[i] - tonumber(kept[2])))
    end
    filled[i] = tokens
    granted = math.min(granted, math.floor(tokens))
end
local left = {}
for i, key in ipairs(KEYS) do
    local capacity, refill = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    local tokens = filled[i] - granted
    redis.call('HSET', key, 'tokens', string.format('%.9f', tokens), 'at', string.format('%.6f', at[i]))
    redis.call('PEXPIRE', key, math.ceil((at[i] - now + (capacity - tokens) / refill) * 1000) + 1000)
    left[i] = string.format('%.9f', tokens)
end
return {granted, unpack(left)}
"""

log = logger()


class ValkeyBuckets:
    """Buckets at a URL such as `rediss://cache.example.com:6379`.

    `read_login` returns the user and password. It is asked for each new connection, so that they may rotate.
    """

    def __init__(self, url: str, read_login: Callable[[], tuple[str, str]] | None = None) -> None:
        # The client checks the name in the server's certificate only if told to.
        options: dict[str, Any] = {"ssl_check_hostname": True} if urlsplit(url).scheme in TLS_SCHEMES else {}
        if read_login is not None:
            options["credential_provider"] = _Login(read_login)
        self._client = valkey.Valkey.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            decode_responses=True,
            **options,
        )
        self._script = self._client.register_script(_TAKE)

    def take(self, buckets: Sequence[LimitedBucket], wanted: int) -> TakenTokens:
        """Take up to `wanted` tokens, the same number from each bucket. Raises LimiterUnavailable."""
        plans = [plan_of(bucket.limit) for bucket in buckets]
        numbers = [number for plan in plans for number in (plan.capacity, plan.refill_per_second)]
        try:
            granted, *left = self._take(list(map(key_of, buckets)), [wanted, *numbers])
        except ValkeyError as error:
            _log_refused(error)
            raise LimiterUnavailable("The server of the rate limits does not answer.") from error
        return TakenTokens(int(granted), tuple(map(float, left)))

    def _take(self, keys: list[str], numbers: list[float]) -> list[Any]:
        """Take tokens, on a new connection if the server has ended the old one or may only be read any more.

        Tokens that were taken before the answer was lost are not put back, so the limit holds all the same.
        """
        try:
            return self._run(keys, numbers)
        except AuthenticationError:
            raise
        except (valkey.ConnectionError, ReadOnlyError):
            self._client.connection_pool.disconnect(inuse_connections=False)
            return self._run(keys, numbers)

    def _run(self, keys: list[str], numbers: list[float]) -> list[Any]:
        answer: list[Any] = self._script(keys=keys, args=numbers)
        return answer


class _Login(CredentialProvider):
    """Reads user and password for the client, and keeps them or the failure for LOGIN_SECONDS."""

    def __init__(self, read: Callable[[], tuple[str, str]]) -> None:
        self._read = read
        self._kept: tuple[str, str] | Exception = ("", "")
        self._read_again_at = -math.inf

    def get_credentials(self) -> tuple[str, str]:
        """Return user and password. Raises an error of the client, which then closes the connection."""
        if time.monotonic() >= self._read_again_at:
            try:
                self._kept = self._read()
            except (SecretUnavailable, SettingsInvalid) as error:
                self._kept = error
            self._read_again_at = time.monotonic() + LOGIN_SECONDS
        if isinstance(self._kept, Exception):
            raise AuthenticationError(str(self._kept)) from self._kept
        return self._kept


def key_of(bucket: LimitedBucket) -> str:
    """Return the key of a bucket. A cluster keeps the keys with the same text in braces together."""
    return f"paybridge:bucket:{{{bucket.group}}}:{bucket.subject}"


def _log_refused(error: ValkeyError) -> None:
    # The error names the server, or says what it has refused. It holds no login.
    log.error(
        "cannot take tokens of a rate limit from Valkey",
        extra={"error_type": type(error).__name__, "error": str(error)[:ERROR_CHARACTERS_MAX]},
    )
