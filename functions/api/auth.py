"""Authentication by API key. Keys are looked up by hash, and what was found is kept for a short time."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers

from api.problems import Problem
from api.request.headers import header_repeated, single_header
from paybridge.access.domain.api_keys import is_mistyped, key_hash, may_be_key
from paybridge.access.domain.caller import Principal
from paybridge.core.clock import Clock, steady_seconds

# Seconds that a revoked key keeps working in an environment, and that a new key may be refused. A revocation has to be
# effective within 5 s everywhere.
KNOWN_SECONDS = 4.0
UNKNOWN_SECONDS = 3.0
CACHE_KEYS_MAX = 1024
KEY_CHARACTERS_MAX = 256

_SEND_KEY = "Send the API key in the X-API-Key header."
_CHALLENGE = {"WWW-Authenticate": 'ApiKey realm="paybridge"'}


class Authenticator:
    """Find the caller of a request by its `X-API-Key` header.

    `identify` maps the hash of a key to its owner, and `clock` says when a key expires. `monotonic` counts the seconds
    for which an answer is kept. A text that cannot be a key is refused without a look-up, unless the environment
    `takes_any_key`.
    """

    def __init__(
        self,
        identify: Callable[[bytes], Principal | None],
        clock: Clock,
        monotonic: Callable[[], float] = steady_seconds,
        *,
        takes_any_key: bool = False,
    ) -> None:
        self._identify = identify
        self._clock = clock
        self._monotonic = monotonic
        self._takes_any_key = takes_any_key
        self._cache: dict[bytes, tuple[float, Principal | None]] = {}

    def principal(self, headers: Headers) -> Principal:
        """Return the caller. Raises Problem (401, or 400 if the header was sent twice)."""
        api_key = single_header(headers, "X-API-Key")
        if not api_key:
            raise _missing_key(headers)
        principal = self._cached(key_hash(api_key)) if self._may_be_key(api_key) else None
        if principal is None or self._has_expired(principal):
            if "," in api_key:
                raise header_repeated("X-API-Key")
            raise Problem(
                401,
                "api_key_invalid",
                "The API key is unknown, expired or revoked. Check the X-API-Key header.",
                headers=_CHALLENGE,
            )
        return principal

    def _may_be_key(self, text: str) -> bool:
        # The keys of the local stack are words, so that people can remember them.
        if self._takes_any_key:
            return len(text) <= KEY_CHARACTERS_MAX and not is_mistyped(text)
        return may_be_key(text)

    def _has_expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and principal.expires_at <= self._clock.now()

    def _cached(self, digest: bytes) -> Principal | None:
        now = self._monotonic()
        expires_at, principal = self._cache.get(digest, (now, None))
        if expires_at > now:
            return principal
        principal = self._identify(digest)
        self._cache.pop(digest, None)
        if len(self._cache) >= CACHE_KEYS_MAX:
            # A dict keeps the order of insertion, so the first key is the one looked up the longest time ago.
            del self._cache[next(iter(self._cache))]
        self._cache[digest] = (now + (KNOWN_SECONDS if principal else UNKNOWN_SECONDS), principal)
        return principal


def _missing_key(headers: Headers) -> Problem:
    # The Authorization header holds a scheme and its credentials, of which only the scheme is looked at.
    match headers.get("authorization", "").strip().partition(" ")[0].lower():
        case "":
            code, detail = "api_key_missing", "The API key is missing. Send it in the X-API-Key header."
        case "bearer":
            code, detail = "bearer_not_supported", f"Bearer tokens are not supported. {_SEND_KEY}"
        case "basic":
            code, detail = "basic_not_supported", f"Basic authentication is not supported. {_SEND_KEY}"
        case _:
            code, detail = "scheme_not_supported", f"This Authorization scheme is not supported. {_SEND_KEY}"
    return Problem(401, code, detail, headers=_CHALLENGE)
