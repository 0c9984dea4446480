"""The decisions of screening, with what they read, and the answers to those that ask for a review."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.fraud.domain.reviews import Decision, ReviewAnswer

_ADD = Statement("""
    INSERT INTO fraud_decisions (payment_id, merchant_id, rule_set_version, decision, score, rules, facts, screened_at,
                                 review_expires_at)
    SELECT payment_id, merchant_id, rule_set_version, decision, score, rules, facts, :now::timestamptz,
           CASE WHEN decision = 'review' THEN :review_expires_at::timestamptz END
    FROM json_to_recordset(:rows::json) AS new (payment_id uuid, merchant_id uuid, rule_set_version integer,
        decision text, score integer, rules json, facts json)
""")

_FIND = Statement("""
    SELECT payment_id, rule_set_version, decision, score, rules, facts, screened_at, review_expires_at, answer, actor,
           note, answered_at
    FROM unnest(:payment_ids::uuid[]) AS wanted (id) JOIN fraud_decisions ON payment_id = wanted.id
""")

# The limit makes PostgreSQL look each payment up by its key.
_ANSWER = Statement("""
    WITH answered AS MATERIALIZED (
        SELECT id FROM unnest(:payment_ids::uuid[]) AS row (id) LIMIT :length::integer
    )
    UPDATE fraud_decisions decision
    SET answer = :answer::text, actor = :actor::text, note = :note::text, answered_at = :now::timestamptz
    FROM answered
    WHERE decision.payment_id = answered.id AND decision.decision = 'review' AND decision.answer IS NULL
""")

_EXPIRED = Statement("""
    SELECT payment_id FROM fraud_decisions
    WHERE review_expires_at <= :now::timestamptz AND answer IS NULL
    ORDER BY review_expires_at
    LIMIT :limit::integer
""")


def add(transaction: Transaction, rows: Sequence[dict[str, Any]], now: datetime, review_expires_at: datetime) -> None:
    """Store decisions. A payment is screened once: the database refuses a second decision."""
    transaction.run(_ADD, rows=json_rows(rows), now=now, review_expires_at=review_expires_at)


def find(database: Database, payment_ids: Collection[UUID]) -> dict[UUID, Decision]:
    """Return the decisions about these payments."""
    return {row[0]: Decision(*row) for row in database.run(_FIND, payment_ids=uuid_array(payment_ids))}


def answer(
    transaction: Transaction,
    payment_ids: Sequence[UUID],
    answered: ReviewAnswer,
    actor: str,
    note: str | None,
    now: datetime,
) -> None:
    """Note the answer to reviews that have none."""
    transaction.run(
        _ANSWER,
        payment_ids=uuid_array(payment_ids),
        length=len(payment_ids),
        answer=str(answered),
        actor=actor,
        note=note,
        now=now,
    )


def expired(database: Database, now: datetime, limit: int) -> list[UUID]:
    """Return up to `limit` payments whose review has expired without an answer, the longest expired first."""
    return [row[0] for row in database.run(_EXPIRED, now=now, limit=limit)]
