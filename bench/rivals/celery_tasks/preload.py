"""`python -m bench.rivals.celery_tasks.preload`: send the task for every pending payment."""

from __future__ import annotations

import os

import psycopg

from bench.rivals.celery_tasks.tasks import charge

if __name__ == "__main__":
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        for (payment_id,) in connection.execute("SELECT id::text FROM payments WHERE status = 'pending'"):
            charge.delay(payment_id)
