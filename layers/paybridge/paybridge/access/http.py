"""Fetch the keys of tokens from their issuer: a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import jwt

from paybridge.access.tokens import ALGORITHMS, SYMMETRIC, VerificationKey
from paybridge.core.clock import steady_seconds
from paybridge.core.errors import KeysUnavailable
from paybridge.observability.logging import logger

FETCH_SECONDS_MAX = 3.0
SET_BYTES_MAX = 256 * 1024
KEYS_MAX = 100
# Unknown key ids, which anyone can send, make one request in this time, however many come.
FETCH_AGAIN_SECONDS_MIN = 60.0
# A set that is older is fetched again when it is needed, and used on if that fails.
FRESH_SECONDS = 600.0

# RFC 7518 and RFC 8037: the algorithm of a key that does not name one.
_ALGORITHM_OF_CURVE = {"P-256": "ES256", "P-384": "ES384", "Ed25519": "EdDSA"}

log = logger()


class JwksKeys:
    """The keys that an issuer publishes. `monotonic` is a clock in seconds.

    The set is kept. A failed fetch leaves the old one in use. One thread fetches at a time.
    """

    def __init__(
        self,
        url: str,
        monotonic: Callable[[], float] = steady_seconds,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = url
        self._monotonic = monotonic
        self._client = httpx.Client(
            timeout=FETCH_SECONDS_MAX, follow_redirects=False, trust_env=False, transport=transport
        )
        self._lock = threading.Lock()
        self._keys: Mapping[str, VerificationKey] | None = None
        self._fetched_at = -float("inf")
        self._tried_at = -float("inf")

    def find(self, key_id: str) -> VerificationKey | None:
        """Return the key with this id, None if there is none. Raises KeysUnavailable if no fetch has succeeded."""
        keys = self._keys
        is_fresh = self._monotonic() - self._fetched_at < FRESH_SECONDS
        if keys is None or key_id not in keys or not is_fresh:
            self._fetch_seldom()
            keys = self._keys
        if keys is None:
            raise KeysUnavailable("The keys of tokens cannot be fetched.")
        return keys.get(key_id)

    def _fetch_seldom(self) -> None:
        with self._lock:
            now = self._monotonic()
            if now - self._tried_at < FETCH_AGAIN_SECONDS_MIN:
                return
            self._tried_at = now
            try:
                self._keys = _keys_of(self._fetch())
                self._fetched_at = now
            except (httpx.HTTPError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
                log.warning("cannot fetch the keys of tokens", extra={"error_type": type(error).__name__})

    def _fetch(self) -> Any:
        with self._client.stream("GET", self._url, headers={"Accept": "application/json"}) as response:
            response.raise_for_status()
            if response.status_code != httpx.codes.OK:
                raise ValueError("another status than 200")
            body = bytearray()
            deadline = time.monotonic() + FETCH_SECONDS_MAX
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > SET_BYTES_MAX or time.monotonic() > deadline:
                    raise ValueError("the answer is too long")
        return json.loads(bytes(body))


def _keys_of(key_set: Any) -> dict[str, VerificationKey]:
    """Return the keys of a set that can verify signatures. Others in it are left out (RFC 7517, 5)."""
    entries = key_set["keys"] if isinstance(key_set, dict) else None
    if not isinstance(entries, list):
        raise TypeError("not a key set")
    keys: dict[str, VerificationKey] = {}
    for entry in entries[:KEYS_MAX]:
        algorithm = _algorithm_of(entry)
        if algorithm is None:
            continue
        try:
            key = jwt.PyJWK(entry, algorithm).key
        except jwt.PyJWTError:
            continue
        keys[entry["kid"]] = VerificationKey(algorithm, key)
    return keys


def _algorithm_of(entry: Any) -> str | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
        return None
    default = "RS256" if entry.get("kty") == "RSA" else _ALGORITHM_OF_CURVE.get(str(entry.get("crv")))
    algorithm = entry.get("alg", default)
    # A published key is no secret, so it must never verify a symmetric signature.
    return algorithm if algorithm in ALGORITHMS - SYMMETRIC else None
