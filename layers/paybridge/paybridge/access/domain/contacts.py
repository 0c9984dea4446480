"""How a merchant is reached, and about which events."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantContacts:
    """The contacts of a merchant; None where it has none. `notify` are patterns of the events that it chose."""

    merchant_id: UUID
    name: str
    email: str | None
    phone: str | None
    notify: tuple[str, ...]
