"""Answers stored for repeated requests."""

from __future__ import annotations

from datetime import datetime

from paybridge.database.database import Database, Statement

_EXPIRE_ANSWERS = Statement("""
    UPDATE idempotency_keys SET response_body = NULL
    WHERE (merchant_id, operation, key) IN (
        SELECT merchant_id, operation, key FROM idempotency_keys
        WHERE response_body IS NOT NULL AND created_at < :before::timestamptz
        ORDER BY created_at LIMIT :limit::integer FOR UPDATE SKIP LOCKED)
    RETURNING 1
""")


def expire_answers(database: Database, before: datetime, limit: int) -> int:
    """Clear up to `limit` answers given before that time and return how many; the keys stay taken."""
    return len(database.run(_EXPIRE_ANSWERS, before=before, limit=limit))
