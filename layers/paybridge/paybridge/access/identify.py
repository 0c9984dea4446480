"""Find the caller behind an API key or a token, and take tokens of its rate limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from paybridge.access.domain.caller import Principal
from paybridge.access.ports import AdmittedCaller, TakenTokens, TokenBuckets
from paybridge.access.store import callers
from paybridge.database.database import Database


@dataclass(frozen=True, slots=True)
class CallerDirectory:
    """Finds callers in the database, and takes tokens there, or from `buckets` if they are given."""

    database: Database
    buckets: TokenBuckets | None = None

    def admit_key(self, key_hash: bytes, wanted: int) -> AdmittedCaller | None:
        """Return the caller whose key has this SHA-256, None if it is unknown or revoked, with up to `wanted` tokens.

        Raises DatabaseUnavailable and LimiterUnavailable.
        """
        found = callers.admit_key(self.database, key_hash, 0 if self.buckets else wanted)
        return self._with_tokens(found, wanted)

    def admit_token(self, principal: Principal, wanted: int) -> AdmittedCaller | None:
        """Return the caller that a token names with up to `wanted` tokens, None if its merchant does not exist.

        Raises DatabaseUnavailable and LimiterUnavailable.
        """
        if principal.merchant_id is None:
            return AdmittedCaller(principal)
        found = callers.admit_merchant(self.database, principal.merchant_id, 0 if self.buckets else wanted)
        return self._with_tokens(AdmittedCaller(principal, *found), wanted) if found is not None else None

    def take(self, caller: AdmittedCaller, wanted: int) -> TakenTokens | None:
        """Take tokens for a caller that is known already, outside the database. None if they are in the database."""
        return self.buckets.take(caller.buckets, wanted) if self.buckets and caller.buckets else None

    def _with_tokens(self, found: AdmittedCaller | None, wanted: int) -> AdmittedCaller | None:
        if found is None or not found.buckets or self.buckets is None:
            return found
        return replace(found, taken=self.buckets.take(found.buckets, wanted))
