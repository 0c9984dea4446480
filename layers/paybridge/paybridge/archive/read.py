"""Show the archive to operators, and say where an archived payment is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.archive.domain import (
    ArchivedTable,
    MonthState,
    month_of,
    month_of_partition,
    month_text,
    month_view,
    prefix_of,
)
from paybridge.archive.store import months, owners, tables
from paybridge.database.database import Database


class ArchivedKind(StrEnum):
    """What is archived and has an address in the API."""

    PAYMENT = "payment"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Location:
    """Where an archived payment is: the month, and the folder of its files in the archive."""

    month: str
    location: str


def location_of(id_: UUID) -> Location:
    """Return where a payment is whose month is archived."""
    month = month_of(id_)
    return Location(month_text(month), prefix_of(month, "payments"))


def may_change_soon(database: Database, partition: str) -> bool:
    """Tell whether a partition that refused a change is only being looked at, so that its month may stay.

    Raises DatabaseUnavailable.
    """
    month = month_of_partition(partition)
    found = None if month is None else months.find(database, month)
    return found is None or found.state is MonthState.WAITING


def list_archive(database: Database) -> list[dict[str, Any]]:
    """Return every month that was looked at, newest first. Raises DatabaseUnavailable."""
    by_month: dict[date, list[ArchivedTable]] = defaultdict(list)
    for table in tables.all_tables(database):
        by_month[table.month].append(table)
    return [month_view(month, by_month[month.month]) for month in months.all_months(database)]


def show_month(database: Database, month: date) -> dict[str, Any] | None:
    """Return one month, None if it was never looked at. Raises DatabaseUnavailable."""
    found = months.find(database, month)
    return None if found is None else month_view(found, tables.of_month(database, month))


def find_archived(database: Database, kind: ArchivedKind, merchant_id: UUID | None, id_: UUID) -> Location | None:
    """Return where the merchant's payment or refund is, None if it is not archived or another merchant's.

    Without a merchant it is that of any. Raises DatabaseUnavailable.
    """
    month = owners.find_month(database, kind, merchant_id, id_)
    if month is None and kind is ArchivedKind.REFUND:
        # A refund of a later month is still there, and is nothing without its payment.
        payment_id = owners.find_refunded(database, merchant_id, id_)
        if payment_id is not None:
            month = owners.find_month(database, ArchivedKind.PAYMENT, merchant_id, payment_id)
    return None if month is None else Location(month_text(month), prefix_of(month, "payments"))
