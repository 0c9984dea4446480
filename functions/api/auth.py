"""Authentication: an API key in `X-API-Key`, or a JSON Web Token in `Authorization: Bearer`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from starlette.datastructures import Headers

from api.callers import KnownCaller, KnownCallers, LimitReached, retry_after
from api.problems import Problem
from api.request.headers import header_repeated, single_header
from paybridge.access.domain.api_keys import is_mistyped, key_hash, may_be_key
from paybridge.access.domain.caller import Principal
from paybridge.access.ports import AdmittedCaller, TakenTokens
from paybridge.core.clock import Clock, steady_seconds

if TYPE_CHECKING:
    from paybridge.access.tokens import TokenVerifier

KEY_CHARACTERS_MAX = 256

_SEND_KEY = "Send the API key in the X-API-Key header."
_KEY_CHALLENGE = 'ApiKey realm="paybridge"'
_BEARER_CHALLENGE = 'Bearer realm="paybridge"'


class Callers(Protocol):
    """Where callers are found, and tokens of their rate limits taken."""

    def admit_key(self, key_hash: bytes, wanted: int) -> AdmittedCaller | None:
        """Return the owner of the key with up to `wanted` tokens, None if it is unknown or revoked."""
        ...

    def admit_token(self, principal: Principal, wanted: int) -> AdmittedCaller | None:
        """Return the caller with up to `wanted` tokens, None if its merchant does not exist."""
        ...

    def take(self, caller: AdmittedCaller, wanted: int) -> TakenTokens | None:
        """Take tokens for a known caller, None if only asking for it again takes any."""
        ...


class Authenticator:
    """Find the caller of a request, and take a token of its rate limit.

    `clock` says when keys and tokens expire, `monotonic` is a clock in seconds. `find_verifier` returns what verifies
    tokens, None if there is no issuer. A text that cannot be a key is refused without a look-up, unless the environment
    `takes_any_key`.
    """

    def __init__(
        self,
        callers: Callers,
        clock: Clock,
        monotonic: Callable[[], float] = steady_seconds,
        *,
        takes_any_key: bool = False,
        find_verifier: Callable[[], TokenVerifier | None] = lambda: None,
    ) -> None:
        self._callers = callers
        self._clock = clock
        self._takes_any_key = takes_any_key
        self._find_verifier = find_verifier
        self._known = KnownCallers(monotonic, callers.take)

    def authenticate(self, headers: Headers) -> tuple[Principal, KnownCaller]:
        """Return the caller, and what is known of its limits. Raises Problem (400, 401, 429)."""
        try:
            api_key = single_header(headers, "X-API-Key")
            return self._by_key(api_key) if api_key else self._by_token(headers)
        except LimitReached as limited:
            raise _too_many(limited) from None

    def _by_key(self, api_key: str) -> tuple[Principal, KnownCaller]:
        if self._may_be_key(api_key):
            digest = key_hash(api_key)
            known = self._known.admit(digest, lambda wanted: self._callers.admit_key(digest, wanted))
            if known.caller is not None and not self._has_expired(known.caller.principal):
                return known.caller.principal, known
        if "," in api_key:
            raise header_repeated("X-API-Key")
        detail = "The API key is unknown, expired or revoked. Check the X-API-Key header."
        raise Problem(401, "api_key_invalid", detail, headers=self._challenge())

    def _by_token(self, headers: Headers) -> tuple[Principal, KnownCaller]:
        scheme, _, token = (single_header(headers, "Authorization") or "").strip().partition(" ")
        verifier = self._find_verifier() if scheme.lower() == "bearer" else None
        if verifier is None:
            raise _missing_key(scheme.lower(), self._challenge())
        from paybridge.access.domain.tokens import TokenRefused

        try:
            principal = verifier.verify(token.strip(), self._clock.now())
        except TokenRefused as refused:
            challenge = f'{_BEARER_CHALLENGE}, error="invalid_token"'
            detail = f"{refused} Get a new token from its issuer."
            raise Problem(401, "token_invalid", detail, headers={"WWW-Authenticate": challenge}) from None
        known = self._known.admit(
            principal.merchant_id or principal.role, lambda wanted: self._callers.admit_token(principal, wanted)
        )
        if known.caller is None:
            detail = "The token names a merchant that does not exist. Get a new token from its issuer."
            raise Problem(401, "token_invalid", detail, headers={"WWW-Authenticate": _BEARER_CHALLENGE})
        return principal, known

    def _may_be_key(self, text: str) -> bool:
        # The keys of the local stack are words, so that people can remember them.
        if self._takes_any_key:
            return len(text) <= KEY_CHARACTERS_MAX and not is_mistyped(text)
        return may_be_key(text)

    def _has_expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and principal.expires_at <= self._clock.now()

    def _challenge(self) -> dict[str, str]:
        takes_tokens = self._find_verifier() is not None
        return {"WWW-Authenticate": f"{_KEY_CHALLENGE}, {_BEARER_CHALLENGE}" if takes_tokens else _KEY_CHALLENGE}


def _too_many(limited: LimitReached) -> Problem:
    headers = {**limited.headers, "Retry-After": retry_after(limited.wait_seconds)}
    detail = "Too many requests. Wait for the seconds in Retry-After, then repeat this one."
    return Problem(429, "rate_limited", detail, headers=headers)


def _missing_key(scheme: str, challenge: dict[str, str]) -> Problem:
    match scheme:
        case "":
            code, detail = "api_key_missing", "The API key is missing. Send it in the X-API-Key header."
        case "bearer":
            code, detail = "bearer_not_supported", f"Bearer tokens are not supported. {_SEND_KEY}"
        case "basic":
            code, detail = "basic_not_supported", f"Basic authentication is not supported. {_SEND_KEY}"
        case _:
            code, detail = "scheme_not_supported", f"This Authorization scheme is not supported. {_SEND_KEY}"
    return Problem(401, code, detail, headers=challenge)
