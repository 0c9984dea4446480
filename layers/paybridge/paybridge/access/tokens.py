"""Verify JSON Web Tokens: one algorithm for each key id, and never one that the token chooses.

PyJWT checks the signature. The times are compared here, with the clock that is passed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import jwt
from jwt.types import Options

from paybridge.access.domain.caller import Principal
from paybridge.access.domain.tokens import TOKEN_CHARACTERS_MAX, TokenPolicy, TokenRefused, check_header, principal_of
from paybridge.core.errors import SettingsInvalid

# RFC 7518, 3.2: a key at least as long as the hash, in bytes. RFC 8725, 3.5 wants no word in its place.
SECRET_BYTES_MIN = {"HS256": 32, "HS384": 48, "HS512": 64}
SYMMETRIC = frozenset(SECRET_BYTES_MIN)
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}) | SYMMETRIC

# Three parts of base64url without padding (RFC 7515, 2 and 7.1). PyJWT would skip what is none of it in a signature, so
# that one token had many spellings.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+")

# The claims are checked by principal_of. PyJWT would compare times with the machine's clock.
_SIGNATURE_ONLY: Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the one algorithm that it is for."""

    algorithm: str
    key: Any


class VerificationKeys(Protocol):
    """The keys that tokens may be signed with."""

    def find(self, key_id: str) -> VerificationKey | None:
        """Return the key with this id, None if there is none. Raises Unavailable if that cannot be known now."""
        ...


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """Keys that were read from a secret."""

    keys: Mapping[str, VerificationKey]

    def find(self, key_id: str) -> VerificationKey | None:
        """Return the key with this id, None if there is none."""
        return self.keys.get(key_id)


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Verifies tokens of one issuer for one audience."""

    policy: TokenPolicy
    keys: VerificationKeys

    def verify(self, token: str, now: datetime) -> Principal:
        """Return the caller that the token names. Raises TokenRefused, and Unavailable if the keys cannot be read."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise TokenRefused("The token is too long.")
        if not _COMPACT.fullmatch(token):
            raise TokenRefused("The text is not a JSON Web Token.")
        key = self._key_of(token)
        try:
            claims = jwt.decode(token, key.key, algorithms=[key.algorithm], options=_SIGNATURE_ONLY)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise TokenRefused("The signature of the token is not valid.") from None
        return principal_of(claims, self.policy, now)

    def _key_of(self, token: str) -> VerificationKey:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenRefused("The text is not a JSON Web Token.") from None
        key = self.keys.find(check_header(header))
        if key is None:
            raise TokenRefused("The token names an unknown key.")
        if header.get("alg") != key.algorithm:
            raise TokenRefused("The token has another algorithm than its key.")
        return key


def read_static_keys(text: str) -> StaticKeys:
    """Return the keys in the text of a secret. Raises SettingsInvalid.

    The text is `{"keys": [{"kid", "alg", "secret"} | {"kid", "alg", "public_key": PEM}]}`.
    """
    try:
        entries = json.loads(text)["keys"]
        keys = {str(entry["kid"]): _static_key(entry) for entry in entries}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SettingsInvalid("The secret with the keys of tokens is malformed.") from None
    return StaticKeys(keys)


def _static_key(entry: Mapping[str, str]) -> VerificationKey:
    algorithm = entry["alg"]
    if algorithm not in ALGORITHMS:
        raise ValueError("unknown algorithm")
    is_symmetric = algorithm in SYMMETRIC
    material = entry["secret"] if is_symmetric else entry["public_key"]
    if is_symmetric and len(material.encode()) < SECRET_BYTES_MIN[algorithm]:
        raise SettingsInvalid(f"A secret for {algorithm} needs {SECRET_BYTES_MIN[algorithm]} bytes or more.")
    return VerificationKey(algorithm, jwt.get_algorithm_by_name(algorithm).prepare_key(material))
