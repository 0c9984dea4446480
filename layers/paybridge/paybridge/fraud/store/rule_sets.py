"""Rule sets: a row for each version, which is never changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array

# One look at the primary key for each merchant. A version without rules screens nothing.
_PRESENT = Statement("""
    SELECT wanted.id, present.version FROM unnest(:merchant_ids::uuid[]) AS wanted (id), LATERAL (
        SELECT version, rule_count FROM fraud_rule_sets rule_set WHERE rule_set.merchant_id = wanted.id
        ORDER BY version DESC LIMIT 1
    ) AS present
    WHERE present.rule_count > 0
""")

_RULES = Statement("""
    SELECT merchant_id, version, rules
    FROM json_to_recordset(:rows::json) AS wanted (merchant_id uuid, version integer)
    JOIN fraud_rule_sets USING (merchant_id, version)
""")

_LATEST = Statement("""
    SELECT version, rules, created_at FROM fraud_rule_sets
    WHERE merchant_id = :merchant_id::uuid AND version <= :version::integer
    ORDER BY version DESC LIMIT 1
""")

_ADD = Statement("""
    INSERT INTO fraud_rule_sets (merchant_id, version, rules, rule_count, actor, created_at)
    SELECT :merchant_id::uuid, coalesce(max(version), 0) + 1, :rules::json, :rule_count::integer, :actor::text,
           :now::timestamptz
    FROM fraud_rule_sets WHERE merchant_id = :merchant_id::uuid
    ON CONFLICT (merchant_id, version) DO NOTHING
    RETURNING version
""")

VERSION_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class StoredRules:
    """One version of a merchant's rules, as JSON members. Version 0, of no time, stands for none."""

    version: int
    rules: list[dict[str, Any]]
    created_at: datetime | None


def present_versions(transaction: Transaction, merchant_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the present version of each merchant that has rules."""
    return {row[0]: row[1] for row in transaction.run(_PRESENT, merchant_ids=uuid_array(merchant_ids))}


def rules_of(transaction: Transaction, versions: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], list[Any]]:
    """Return the rules of these versions, as JSON members."""
    rows = json_rows({"merchant_id": id_, "version": version} for id_, version in versions)
    return {(id_, version): rules for id_, version, rules in transaction.run(_RULES, rows=rows)}


def find(database: Database, merchant_id: UUID, version: int = VERSION_MAX) -> StoredRules | None:
    """Return the latest version up to this one, None if the merchant never had rules."""
    rows = database.run(_LATEST, merchant_id=merchant_id, version=version)
    return StoredRules(*rows[0]) if rows else None


def add(database: Database, merchant_id: UUID, rules: list[Any], actor: str, now: datetime) -> int | None:
    """Add the next version and return its number; return None if another request added it at the same time."""
    text = orjson.dumps(rules).decode()
    rows = database.run(_ADD, merchant_id=merchant_id, rules=text, rule_count=len(rules), actor=actor, now=now)
    return int(rows[0][0]) if rows else None
