"""Rivals of the ledger: pgledger's SQL functions, and a transfer at a time under `SELECT … FOR UPDATE`.

Each writes what ours does for a payment: its amount from the gateway to the merchant, and the fee from the merchant to
the house. pgbench, a client in C, calls them with CLIENTS connections, which favours them, and pgledger's function also
takes a whole batch as ours does. Neither checks that an event was posted before.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from paybridge.database.database import Database, Statement

CLIENTS = 8
MERCHANTS = 200
GROSS = "100.50"

_ACCOUNTS = Statement("""
    INSERT INTO pgledger_accounts (id, name, currency, allow_negative_balance, allow_positive_balance, created_at,
                                   updated_at)
    SELECT id, id, 'EUR', true, true, now(), now()
    FROM (SELECT 'merchant_' || n FROM generate_series(1, :merchants::integer) AS n
          UNION ALL VALUES ('clearing'), ('fees')) AS account (id)
""")
_BATCH = Statement("""
    SELECT count(*) FROM pgledger_create_transfers(ARRAY(
        SELECT CASE side WHEN 1 THEN ('clearing', merchant, 100.50)::transfer_request
                         ELSE (merchant, 'fees', 3.21)::transfer_request END
        FROM unnest(:merchants::text[]) WITH ORDINALITY AS paid (merchant, n), generate_series(1, 2) AS side
        ORDER BY n, side))
""")
_PGLEDGER_SIZE = Statement("""
    SELECT (pg_total_relation_size('pgledger_transfers') + pg_total_relation_size('pgledger_entries')
            + pg_total_relation_size('pgledger_accounts'))::float8 / count(*) FROM pgledger_transfers
""")
ONE_EVENT = """\
\\set m random(1, :merchants)
SELECT count(*) FROM pgledger_create_transfers(ARRAY[
    ('clearing', 'merchant_' || :m::text, 100.50), ('merchant_' || :m::text, 'fees', 3.21)]::transfer_request[]);
"""

FOR_UPDATE_TABLES = """
    CREATE TABLE accounts (id integer PRIMARY KEY, balance_minor bigint NOT NULL DEFAULT 0);
    CREATE TABLE transfers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), event_id uuid NOT NULL,
        debit integer NOT NULL REFERENCES accounts (id), credit integer NOT NULL REFERENCES accounts (id),
        amount_minor bigint NOT NULL CHECK (amount_minor > 0), created_at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX ON transfers (debit);
    CREATE INDEX ON transfers (credit);
    INSERT INTO accounts (id) SELECT generate_series(1, 100000);
"""
# Accounts 99,999 and 100,000 are the house's. Rows are locked in the order of their numbers.
FOR_UPDATE = """\
\\set m random(1, :merchants)
BEGIN;
SELECT balance_minor FROM accounts WHERE id IN (:m, 99999) ORDER BY id FOR UPDATE;
UPDATE accounts SET balance_minor = balance_minor - 10050 WHERE id = 99999;
UPDATE accounts SET balance_minor = balance_minor + 10050 WHERE id = :m;
INSERT INTO transfers (event_id, debit, credit, amount_minor) VALUES (gen_random_uuid(), 99999, :m, 10050);
COMMIT;
BEGIN;
SELECT balance_minor FROM accounts WHERE id IN (:m, 100000) ORDER BY id FOR UPDATE;
UPDATE accounts SET balance_minor = balance_minor - 321 WHERE id = :m;
UPDATE accounts SET balance_minor = balance_minor + 321 WHERE id = 100000;
INSERT INTO transfers (event_id, debit, credit, amount_minor) VALUES (gen_random_uuid(), :m, 100000, 321);
COMMIT;
"""
_PER_SECOND = re.compile(r"tps = ([0-9.]+)")


def set_up_pgledger(database: Database) -> None:
    """Create pgledger and its accounts."""
    for name in ("uuid-to-ulid.sql", "pgledger.sql"):
        run_script(database, resources.files("bench.rivals.pgledger").joinpath(name).read_text(encoding="utf-8"))
    database.run(_ACCOUNTS, merchants=MERCHANTS)


def run_script(database: Database, script: str) -> None:
    """Run a script of several statements in one transaction."""
    with database.transaction() as transaction:
        transaction.open_sqlalchemy().exec_driver_sql(script)


def pgledger_batches(database: Database, batches: int, batch_events: int, merchants: int) -> float:
    """Return events per second of pgledger when each call takes a batch."""
    chosen = [
        "{" + ",".join(f"merchant_{random.randint(1, merchants)}" for _ in range(batch_events)) + "}"  # noqa: S311
        for _ in range(batches)
    ]
    started = time.perf_counter()
    for names in chosen:
        (row,) = database.run(_BATCH, merchants=names)
        assert row == [2 * batch_events], f"{row[0]} of {2 * batch_events} transfers were made"
    return batches * batch_events / (time.perf_counter() - started)


def pgledger_bytes(database: Database) -> float:
    """Return the bytes of a transfer with its entries and indexes."""
    size: float = database.run(_PGLEDGER_SIZE)[0][0]
    return size


def run_pgbench(program: Path, url: str, script: Path, seconds: int, merchants: int) -> float:
    """Return how often pgbench ran the script in a second, over CLIENTS connections."""
    parts = urlsplit(url)
    options = ["-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds), "-f", str(script)]
    place = ["-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username)]
    output = subprocess.run(
        [str(program), *options, "-D", f"merchants={merchants}", *place, parts.path.lstrip("/")],
        env={**os.environ, "PGPASSWORD": parts.password or ""},
        capture_output=True,
        text=True,
        check=False,
    )
    found = _PER_SECOND.search(output.stdout)
    if output.returncode != 0 or found is None:
        raise RuntimeError(f"pgbench failed: {output.stderr.strip()}")
    return float(found[1])
