"""Find a caller, and take tokens of its rate limits in the same statement."""

from __future__ import annotations

from uuid import UUID

from paybridge.access.domain.caller import Principal, Role
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.access.ports import AdmittedCaller, LimitedBucket, TakenTokens
from paybridge.database.database import Database, Statement

_ADMIT_KEY = Statement("""
    SELECT role, key_id, merchant_id, expires_at, key_rate, key_burst, merchant_rate, merchant_burst, granted,
           key_tokens, merchant_tokens
    FROM admit_key(:key_hash::bytea, :wanted::integer)
""")

_ADMIT_MERCHANT = Statement("""
    SELECT merchant_rate, merchant_burst, granted, merchant_tokens
    FROM admit_merchant(:merchant_id::uuid, :wanted::integer)
""")


def admit_key(database: Database, key_hash: bytes, wanted: int) -> AdmittedCaller | None:
    """Return the owner of the API key with this hash, None if it is unknown or revoked. It may have expired.

    Up to `wanted` tokens are taken from the buckets of the key and its merchant, if they have limits.
    """
    rows = database.run(_ADMIT_KEY, key_hash=key_hash, wanted=wanted)
    if not rows:
        return None
    role, key_id, merchant_id, expires_at, key_rate, key_burst, merchant_rate, merchant_burst, granted, *left = rows[0]
    principal = Principal(Role(role), merchant_id, key_id, expires_at)
    buckets = (
        *_bucket("key", key_id, key_rate, key_burst, merchant_id or key_id),
        *_bucket("merchant", merchant_id, merchant_rate, merchant_burst, merchant_id),
    )
    return AdmittedCaller(principal, buckets, _taken(granted, left))


def admit_merchant(
    database: Database, merchant_id: UUID, wanted: int
) -> tuple[tuple[LimitedBucket, ...], TakenTokens | None] | None:
    """Return the buckets of a merchant and what was taken from them, None if there is no such merchant."""
    rows = database.run(_ADMIT_MERCHANT, merchant_id=merchant_id, wanted=wanted)
    if not rows:
        return None
    rate, burst, granted, left = rows[0]
    return _bucket("merchant", merchant_id, rate, burst, merchant_id), _taken(granted, [left])


def _bucket(name: str, subject: UUID, rate: int | None, burst: int | None, group: UUID) -> tuple[LimitedBucket, ...]:
    return () if rate is None or burst is None else (LimitedBucket(name, subject, RateLimit(rate, burst), group),)


def _taken(granted: int | None, left: list[float | None]) -> TakenTokens | None:
    return None if granted is None else TakenTokens(granted, tuple(each for each in left if each is not None))
