"""Find the contacts of merchants that want to be notified of events."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.access.domain.contacts import MerchantContacts
from paybridge.access.store import contacts
from paybridge.database.database import Transaction


def find_contacts(transaction: Transaction, merchant_ids: Iterable[UUID]) -> dict[UUID, MerchantContacts]:
    """Return the contacts of those merchants, by their ids, that have one and chose events.

    Raises DatabaseUnavailable.
    """
    return {found.merchant_id: found for found in contacts.find(transaction, merchant_ids)}
