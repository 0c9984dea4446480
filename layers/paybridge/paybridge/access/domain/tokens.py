"""The claims of a JSON Web Token, and the caller that they name (RFC 7519, with the advice of RFC 8725)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from paybridge.access.domain.caller import Principal, Role

LEEWAY_SECONDS = 30
# A token of ours has some hundred characters. More is refused before anything is decoded.
TOKEN_CHARACTERS_MAX = 8192
SUBJECT_CHARACTERS_MAX = 255
# RFC 7519 calls every token JWT, RFC 9068 those for APIs at+jwt. A token of another type was made for another purpose.
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})


class TokenRefused(Exception):
    """The token names no caller. The message says why, and repeats nothing of the token."""


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """The issuer and the audience that a token must name."""

    issuer: str
    audience: str


def check_header(header: Mapping[str, Any]) -> str:
    """Return the id of the key that signed a token, by its header. Raises TokenRefused.

    Keys and addresses of keys that a header brings along are never used (RFC 8725, 3.10).
    """
    if "crit" in header:
        raise TokenRefused("The token demands an extension that is not understood.")
    type_, key_id = header.get("typ"), header.get("kid")
    if not isinstance(type_, str) or type_.lower() not in TYPES:
        raise TokenRefused("The header typ of the token must be JWT or at+jwt.")
    if not isinstance(key_id, str) or not key_id:
        raise TokenRefused("The header kid of the token must name its key.")
    return key_id


def principal_of(claims: Mapping[str, Any], policy: TokenPolicy, now: datetime) -> Principal:
    """Return the caller that the claims of a verified token name. Raises TokenRefused."""
    _check_parties(claims, policy)
    expires_at = _check_times(claims, now)
    role, merchant_id = _role(claims), _merchant_id(claims)
    if role is Role.MERCHANT and merchant_id is None:
        raise TokenRefused("A merchant's token must name its merchant_id.")
    if role is not Role.MERCHANT and merchant_id is not None:
        raise TokenRefused("A token of the staff must not name a merchant_id.")
    return Principal(role, merchant_id, expires_at=expires_at, subject=_subject(claims))


def _check_parties(claims: Mapping[str, Any], policy: TokenPolicy) -> None:
    if claims.get("iss") != policy.issuer:
        raise TokenRefused("The token is of another issuer.")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if policy.audience not in audiences:
        raise TokenRefused("The token is for another audience.")


def _check_times(claims: Mapping[str, Any], now: datetime) -> datetime:
    """Return when the token expires, with the leeway for clocks that differ."""
    now_seconds = now.timestamp()
    not_before, expires = _seconds(claims, "nbf"), _seconds(claims, "exp")
    if now_seconds < not_before - LEEWAY_SECONDS:
        raise TokenRefused("The token is not valid yet.")
    if now_seconds >= expires + LEEWAY_SECONDS:
        raise TokenRefused("The token has expired.")
    try:
        return datetime.fromtimestamp(expires + LEEWAY_SECONDS, UTC)
    except (OverflowError, ValueError, OSError):
        raise TokenRefused("The claim exp of the token is out of range.") from None


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(f"The claim {name} of the token must be a number of seconds.")
    return float(value)


def _role(claims: Mapping[str, Any]) -> Role:
    try:
        return Role(str(claims.get("role")))
    except ValueError:
        raise TokenRefused("The claim role of the token names no role.") from None


def _merchant_id(claims: Mapping[str, Any]) -> UUID | None:
    text = claims.get("merchant_id")
    if text is None:
        return None
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        raise TokenRefused("The claim merchant_id of the token is not an id.") from None


def _subject(claims: Mapping[str, Any]) -> str | None:
    subject = claims.get("sub")
    if subject is None:
        return None
    if not isinstance(subject, str) or len(subject) > SUBJECT_CHARACTERS_MAX or not subject.isprintable():
        raise TokenRefused("The claim sub of the token must be a short text.")
    return subject
