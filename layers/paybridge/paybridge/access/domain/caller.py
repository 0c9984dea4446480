"""Callers: the roles, and who makes a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a caller may do. Merchants see their own payments. The other roles are for staff."""

    MERCHANT = "merchant"
    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `merchant_id` is set for the role merchant only.

    `key_id` is the id of the API key and `subject` that of a token, by which actions are recorded. From `expires_at` on
    it is no caller any more.
    """

    role: Role
    merchant_id: UUID | None
    key_id: UUID | None = field(default=None, compare=False)
    expires_at: datetime | None = field(default=None, compare=False)
    subject: str | None = field(default=None, compare=False)

    @property
    def actor(self) -> str:
        """Return the name under which actions of this caller are recorded."""
        return f"{self.role} token of {self.subject}" if self.key_id is None else f"{self.role} key {self.key_id}"
