"""Who is asking: the roles of API keys, and what a caller may touch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What an API key may do. Merchants see their own payments; the others serve Paybridge itself."""

    MERCHANT = "merchant"
    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller; `merchant_id` is set for every merchant's key."""

    role: Role
    merchant_id: UUID | None


def key_hash(api_key: str) -> bytes:
    """The SHA-256 under which an API key is stored: keys are long and random, so no slow hash is needed."""
    return hashlib.sha256(api_key.encode()).digest()
