"""Merchants: create, list, read and change them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from paybridge.access.domain.fees import FEE_NOTICE_SECONDS
from paybridge.access.domain.merchants import Merchant, MerchantDetails
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row

_COLUMNS = (
    "id, name, email, phone, to_json(notify), fees, rate_per_second, rate_burst, gateway, created_at, "
    "coalesce(updated_at, created_at), (SELECT max(valid_from) FROM merchant_fees WHERE merchant_id = merchants.id)"
)

# The history of the fees begins with the merchant.
_INSERT = Statement("""
    WITH history AS (
        INSERT INTO merchant_fees (merchant_id, valid_from, fees)
        VALUES (:id::uuid, :at::timestamptz, :fees::json)
    )
    INSERT INTO merchants (id, name, email, phone, notify, fees, rate_per_second, rate_burst, gateway, webhook_secrets,
                           created_at, updated_at)
    VALUES (:id::uuid, :name::text, :email::text, :phone::text,
            ARRAY(SELECT json_array_elements_text(:notify::json)), :fees::json, :rate_per_second::integer,
            :rate_burst::integer, :gateway::text, ARRAY[:webhook_secret::text], :at::timestamptz, :at::timestamptz)
""")

# Fees other than the newest of their history are added to it and never replace an entry of it. The row of the merchant
# is locked. The trigger merchants_keep_fees finds them there.
_UPDATE = Statement("""
    WITH history AS (
        INSERT INTO merchant_fees (merchant_id, valid_from, fees)
        SELECT :id::uuid, greatest(:at::timestamptz + make_interval(secs => :fee_notice_seconds::double precision),
                                   newest.valid_from + interval '1 microsecond'),
               :fees::json
        FROM (SELECT) AS always LEFT JOIN LATERAL (
            SELECT valid_from, fees FROM merchant_fees WHERE merchant_id = :id::uuid ORDER BY valid_from DESC LIMIT 1
        ) AS newest ON true
        WHERE newest.fees::jsonb IS DISTINCT FROM (:fees::json)::jsonb
    )
    UPDATE merchants
    SET name = :name::text, email = :email::text, phone = :phone::text,
        notify = ARRAY(SELECT json_array_elements_text(:notify::json)), fees = :fees::json,
        rate_per_second = :rate_per_second::integer, rate_burst = :rate_burst::integer, gateway = :gateway::text,
        updated_at = :at::timestamptz
    WHERE id = :id::uuid
""")

# Ids of registered merchants are random. The first page ends with an id that no merchant has.
_LIST = Statement(f"""
    SELECT {_COLUMNS} FROM merchants
    WHERE (created_at, id) < (
        coalesce((SELECT last.created_at FROM merchants last WHERE last.id = :before::uuid), 'infinity'), :before::uuid)
    ORDER BY created_at DESC, id DESC LIMIT :limit::integer
""")
_GET = Statement(f"SELECT {_COLUMNS} FROM merchants WHERE id = :id::uuid")
_LOCK = Statement(f"SELECT {_COLUMNS} FROM merchants WHERE id = :id::uuid FOR NO KEY UPDATE")

_NEWEST = UUID(int=2**128 - 1)


def insert(database: Database, merchant: Merchant, webhook_secret: str) -> None:
    """Store a merchant with the secret that signs its webhooks."""
    database.run(
        _INSERT,
        id=merchant.id,
        webhook_secret=webhook_secret,
        at=merchant.created_at,
        **_parameters(merchant.details),
    )


def list_newest_first(database: Database, *, before: UUID | None, limit: int) -> list[Merchant]:
    """Return at most `limit` merchants, newest first, after the merchant `before`."""
    return [_merchant_of(row) for row in database.run(_LIST, before=before or _NEWEST, limit=limit)]


def get(database: Database, id_: UUID) -> Merchant | None:
    """Return a merchant, None if there is none."""
    rows = database.run(_GET, id=id_)
    return _merchant_of(rows[0]) if rows else None


def lock(transaction: Transaction, id_: UUID) -> Merchant | None:
    """Lock a merchant and return it, None if there is none. Payments go on being created meanwhile."""
    rows = transaction.run(_LOCK, id=id_)
    return _merchant_of(rows[0]) if rows else None


def update(transaction: Transaction, id_: UUID, details: MerchantDetails, at: datetime) -> None:
    """Replace the details of a locked merchant. Other fees are valid after FEE_NOTICE_SECONDS."""
    transaction.run(_UPDATE, id=id_, at=at, fee_notice_seconds=FEE_NOTICE_SECONDS, **_parameters(details))


def _parameters(details: MerchantDetails) -> Mapping[str, Any]:
    limit = details.rate_limit
    return {
        "name": details.name,
        "email": details.email,
        "phone": details.phone,
        "notify": orjson.dumps(details.notify).decode(),
        "fees": None if details.fees is None else orjson.dumps(details.fees).decode(),
        "rate_per_second": None if limit is None else limit.per_second,
        "rate_burst": None if limit is None else limit.burst,
        "gateway": details.gateway,
    }


def _merchant_of(row: Row) -> Merchant:
    id_, name, email, phone, notify, fees, per_second, burst, gateway, created_at, updated_at, fees_valid_from = row
    details = MerchantDetails(
        name=name,
        email=email,
        phone=phone,
        notify=tuple(notify),
        fees=fees,
        rate_limit=None if per_second is None else RateLimit(per_second, burst),
        gateway=gateway,
    )
    return Merchant(
        id=id_, details=details, created_at=created_at, updated_at=updated_at, fees_valid_from=fees_valid_from
    )
