"""Callers: the roles of API keys, and what each caller may access."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What an API key may do. Merchants see their own payments. The other roles are for staff."""

    MERCHANT = "merchant"
    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `merchant_id` is set for the role merchant only.

    `key_id` is the id of the API key, by which actions are recorded.
    """

    role: Role
    merchant_id: UUID | None
    key_id: UUID | None = field(default=None, compare=False)


def key_hash(api_key: str) -> bytes:
    """Return the SHA-256 by which an API key is stored. Keys are long and random, so no slow hash is needed."""
    return hashlib.sha256(api_key.encode()).digest()
