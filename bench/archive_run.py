"""Archive every old month of a database to the S3 that the environment names, and print what it took."""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import closing

from local.settings import AWS_REGION
from local.testkit.archive import BUCKET
from local.testkit.servers import address_of
from paybridge.archive.parquet import ParquetFiles
from paybridge.archive.ports import ArchiveServices, ArchiveSettings
from paybridge.archive.s3 import S3
from paybridge.archive.work import work_on_archive
from paybridge.core.clock import SystemClock
from paybridge.database.database import Database, Statement
from paybridge.wiring.archive import STATEMENT_SECONDS_MAX

SECONDS_MAX = 3600.0
_KIB = 1 if sys.platform == "darwin" else 1024

_SIZE = Statement("""
    SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
    WHERE relkind = 'r' AND relname ~ '_[0-9]{4}_[0-9]{2}$'
""")
_DONE = Statement("""
    SELECT sum(row_count)::bigint, sum(byte_count)::bigint,
           sum(row_count) FILTER (WHERE table_name = 'payments')::bigint,
           extract(epoch FROM max(verified_at - started_at) FILTER (WHERE table_name = 'payments'))::double precision
    FROM archives WHERE state = 'detached'
""")


def main(url: str) -> None:
    """Archive, and print the figures as JSON."""
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": AWS_REGION})
    settings = ArchiveSettings(bucket=BUCKET, after_months=13, drop_after_days=7)
    with closing(Database(address_of(url), "archive", STATEMENT_SECONDS_MAX)) as database:
        services = ArchiveServices(database, SystemClock(), S3(), ParquetFiles(), settings, readers=())
        database_bytes = database.run(_SIZE)[0][0]
        began = time.monotonic()
        worked = work_on_archive(services, SECONDS_MAX)
        seconds = time.monotonic() - began
        assert not worked.failed, worked.failed
        assert not worked.waiting, worked.waiting
        rows, archive_bytes, payments, table_seconds = database.run(_DONE)[0]
    figures = {
        "seconds": seconds,
        "table_seconds": table_seconds,
        "rows": rows,
        "payments": payments,
        "database_bytes": database_bytes,
        "archive_bytes": archive_bytes,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
