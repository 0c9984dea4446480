"""Old months of settled payments, and an archive in moto's S3."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from moto import mock_aws

from local.testkit.archive import fill_month
from local.testkit.payments import MovableClock, new_merchant
from local.testkit.servers import Postgres, address_of
from paybridge.archive.parquet import ParquetFiles
from paybridge.archive.ports import ArchiveServices, ArchiveSettings
from paybridge.archive.s3 import S3
from paybridge.archive.work import Worked, work_on_archive
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database

BUCKET = "archive-of-tests"
MONTH = date(2024, 3, 1)
PAYMENTS = 700
# So that a table has several files.
FIRST_FILE_ROWS, FILE_ROWS_MAX = 200, 300
RUN_SECONDS = 600.0


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 that has the bucket of the archive."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


@dataclass
class Archive:
    """A database with one old month, and what works on its archive."""

    services: ArchiveServices
    merchant_id: UUID
    s3: Any
    address: DatabaseAddress
    clock: MovableClock = field(default_factory=MovableClock)

    @property
    def database(self) -> Database:
        return self.services.database

    def run(self, seconds: float = RUN_SECONDS) -> Worked:
        """Work on the archive, and expect that no other run works and nothing fails."""
        worked = work_on_archive(self.services, seconds)
        assert not worked.is_busy
        assert worked.failed == {}
        return worked

    def objects(self) -> dict[str, bytes]:
        """What the bucket holds."""
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {each["Key"]: self.s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in found}


@pytest.fixture(scope="module")
def filled_template(postgres_server: Postgres) -> Iterator[tuple[str, UUID]]:
    """A database with the month, which each test copies."""
    url = postgres_server.fresh_database()
    database = Database(address_of(url), "tests", 120.0)
    merchant_id = new_merchant(database)
    fill_month(database, merchant_id, MONTH, PAYMENTS)
    database.close()
    yield url, merchant_id
    postgres_server.drop_database(url)


@pytest.fixture
def archive(
    postgres_server: Postgres, filled_template: tuple[str, UUID], s3: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Archive]:
    """A copy of that database, and everything that works on its archive."""
    monkeypatch.setattr("paybridge.archive.domain.FIRST_FILE_ROWS", FIRST_FILE_ROWS)
    monkeypatch.setattr("paybridge.archive.domain.FILE_ROWS_MAX", FILE_ROWS_MAX)
    template, merchant_id = filled_template
    url = postgres_server.copy_of(template)
    clock = MovableClock()
    settings = ArchiveSettings(bucket=BUCKET, after_months=13, drop_after_days=7)
    with closing(Database(address_of(url), "tests", 120.0)) as database:
        services = ArchiveServices(database, clock, S3(), ParquetFiles(), settings, readers=())
        yield Archive(services, merchant_id, s3, address_of(url), clock)
    postgres_server.drop_database(url)


class Killed(BaseException):
    """The process dies here."""


def dying(real: Callable[..., Any], *, after: bool, call_number: int = 2) -> Callable[..., Any]:
    """The function, until the process dies in its second call or another: before it did anything, or after."""
    calls = itertools.count(1)

    def call(*arguments: Any, **named: Any) -> Any:
        if next(calls) != call_number:
            return real(*arguments, **named)
        if after:
            real(*arguments, **named)
        raise Killed

    return call
