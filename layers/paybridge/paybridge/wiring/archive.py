"""The archive's part of the composition root."""

from __future__ import annotations

from paybridge import wiring
from paybridge.analytics.unread import UnreadByAnalytics
from paybridge.archive.parquet import ParquetFiles
from paybridge.archive.ports import ArchiveServices, ArchiveSettings, EventRecords, LogReader
from paybridge.archive.s3 import S3
from paybridge.bridge.drop_months import SentEventsByMonth
from paybridge.webhooks.unread import DeliveriesOfMonth

# Checking the bounds and keys of a restored month's largest table takes a while. The function has 60 s.
STATEMENT_SECONDS_MAX = 45.0


def readers() -> tuple[LogReader, ...]:
    """Return what must have read a month before it leaves the database."""
    return (UnreadByAnalytics(DeliveriesOfMonth()),)


def records() -> tuple[EventRecords, ...]:
    """Return what is dropped with the events of a month."""
    return (SentEventsByMonth(),)


def services() -> ArchiveServices:
    """Return what the archive needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    return ArchiveServices(
        database=wiring.database(STATEMENT_SECONDS_MAX),
        clock=wiring.clock(),
        objects=S3(),
        files=ParquetFiles(),
        settings=ArchiveSettings(
            bucket=settings.ARCHIVE_BUCKET,
            after_months=settings.ARCHIVE_AFTER_MONTHS,
            drop_after_days=settings.ARCHIVE_DROP_AFTER_DAYS,
        ),
        readers=readers(),
        records=records(),
    )
