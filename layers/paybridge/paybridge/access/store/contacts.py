"""The contacts of merchants."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.access.domain.contacts import MerchantContacts
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array

_FIND = Statement("""
    SELECT id, name, email, phone, to_json(notify) FROM merchants
    WHERE id = ANY(:ids::uuid[]) AND cardinality(notify) > 0 AND (email IS NOT NULL OR phone IS NOT NULL)
""")


def find(transaction: Transaction, ids: Iterable[UUID]) -> list[MerchantContacts]:
    """Return the contacts of those merchants that have one and chose events."""
    return [
        MerchantContacts(merchant_id=id_, name=name, email=email, phone=phone, notify=tuple(notify))
        for id_, name, email, phone, notify in transaction.run(_FIND, ids=uuid_array(ids))
    ]
