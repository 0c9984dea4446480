"""Who may use each route of the API, in one table.

A route is named by its method and its path template. A merchant that may use a route sees and changes its own
resources there. Staff see those of every merchant. A route without a row cannot be built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paybridge.access.domain.caller import Role


@dataclass(frozen=True, slots=True)
class Permission:
    """The roles that may use a route. A public route needs no caller, and one may be public on the local stack only."""

    roles: frozenset[Role] = frozenset()
    is_public: bool = False
    is_public_locally: bool = False


PUBLIC = Permission(is_public=True)
MERCHANTS = Permission(frozenset({Role.MERCHANT}))
# Merchants read what is theirs, and the staff what any merchant has.
MERCHANTS_AND_STAFF = Permission(frozenset(Role))
REVIEWERS = Permission(frozenset({Role.MERCHANT, Role.OPERATOR, Role.ADMIN}))
STAFF = Permission(frozenset(Role) - {Role.MERCHANT})
OPERATIONS_READERS = Permission(frozenset({Role.OPERATOR, Role.ADMIN, Role.AUDITOR}))
OPERATORS = Permission(frozenset({Role.OPERATOR, Role.ADMIN}))
ADMINS = Permission(frozenset({Role.ADMIN}))

PERMISSIONS: Mapping[str, Permission] = {
    "GET /": PUBLIC,
    "GET /docs": PUBLIC,
    "GET /docs/start.js": PUBLIC,
    "GET /docs/{name}": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /health": PUBLIC,
    "GET /health/ready": PUBLIC,
    "GET /metrics": Permission(OPERATIONS_READERS.roles, is_public_locally=True),
    # The gateway signs its notice.
    "POST /api/v1/gateways/{name}/notices": PUBLIC,
    "POST /api/v1/payments": MERCHANTS,
    "GET /api/v1/payments": MERCHANTS_AND_STAFF,
    "GET /api/v1/payments/{payment_id}": MERCHANTS_AND_STAFF,
    "GET /api/v1/payments/{payment_id}/events": MERCHANTS_AND_STAFF,
    "GET /api/v1/payments/{payment_id}/stream": MERCHANTS_AND_STAFF,
    "POST /api/v1/payments/{payment_id}/capture": MERCHANTS,
    "POST /api/v1/payments/{payment_id}/cancel": MERCHANTS,
    "POST /api/v1/payments/{payment_id}/approve": REVIEWERS,
    "POST /api/v1/payments/{payment_id}/reject": REVIEWERS,
    "POST /api/v1/payments/{payment_id}/refunds": MERCHANTS,
    "GET /api/v1/payments/{payment_id}/refunds": MERCHANTS_AND_STAFF,
    "GET /api/v1/refunds": MERCHANTS_AND_STAFF,
    "GET /api/v1/refunds/{refund_id}": MERCHANTS_AND_STAFF,
    "POST /api/v1/payouts": MERCHANTS,
    "GET /api/v1/payouts": MERCHANTS_AND_STAFF,
    "GET /api/v1/payouts/{payout_id}": MERCHANTS_AND_STAFF,
    "POST /api/v1/ops/payouts/{payout_id}/settle": OPERATORS,
    "GET /api/v1/balances": MERCHANTS_AND_STAFF,
    "GET /api/v1/ledger/accounts": MERCHANTS_AND_STAFF,
    "GET /api/v1/ledger/entries": MERCHANTS_AND_STAFF,
    "GET /api/v1/events": MERCHANTS_AND_STAFF,
    "GET /api/v1/events/stream": MERCHANTS_AND_STAFF,
    "GET /api/v1/events/{event_id}": MERCHANTS_AND_STAFF,
    "GET /api/v1/analytics/daily": MERCHANTS_AND_STAFF,
    "GET /api/v1/analytics/monthly": MERCHANTS_AND_STAFF,
    "GET /api/v1/fraud-rules": MERCHANTS,
    "PUT /api/v1/fraud-rules": MERCHANTS,
    "POST /api/v1/fraud-rules/dry-run": MERCHANTS,
    "GET /api/v1/fraud-rules/dry-run/{dry_run_id}": MERCHANTS,
    "POST /api/v1/api-keys": MERCHANTS,
    "GET /api/v1/api-keys": MERCHANTS,
    "POST /api/v1/api-keys/{key_id}/rotate": MERCHANTS,
    "DELETE /api/v1/api-keys/{key_id}": MERCHANTS,
    "POST /api/v1/ops/api-keys": ADMINS,
    "GET /api/v1/ops/api-keys": OPERATIONS_READERS,
    "POST /api/v1/ops/api-keys/{key_id}/rotate": ADMINS,
    "DELETE /api/v1/ops/api-keys/{key_id}": ADMINS,
    "POST /api/v1/ops/merchants": ADMINS,
    "GET /api/v1/ops/merchants": OPERATIONS_READERS,
    "GET /api/v1/ops/merchants/{merchant_id}": OPERATIONS_READERS,
    "PATCH /api/v1/ops/merchants/{merchant_id}": ADMINS,
    "POST /api/v1/webhook-endpoints": MERCHANTS,
    "GET /api/v1/webhook-endpoints": MERCHANTS_AND_STAFF,
    "GET /api/v1/webhook-endpoints/{endpoint_id}": MERCHANTS_AND_STAFF,
    "PATCH /api/v1/webhook-endpoints/{endpoint_id}": MERCHANTS,
    "DELETE /api/v1/webhook-endpoints/{endpoint_id}": MERCHANTS,
    "GET /api/v1/webhook-endpoints/{endpoint_id}/deliveries": MERCHANTS_AND_STAFF,
    "POST /api/v1/webhook-endpoints/{endpoint_id}/rotate-secret": MERCHANTS,
    "POST /api/v1/webhook-endpoints/{endpoint_id}/test": MERCHANTS,
    "POST /api/v1/webhook-endpoints/{endpoint_id}/recover": MERCHANTS,
    "GET /api/v1/webhook-endpoints/{endpoint_id}/recoveries/{recovery_id}": MERCHANTS_AND_STAFF,
    "GET /api/v1/webhook-deliveries/{delivery_id}": MERCHANTS_AND_STAFF,
    "POST /api/v1/webhook-deliveries/{delivery_id}/redeliver": MERCHANTS,
    "GET /api/v1/ops/payments/{payment_id}": OPERATIONS_READERS,
    "GET /api/v1/ops/reviews": STAFF,
    "GET /api/v1/ops/dead-letters": OPERATIONS_READERS,
    "GET /api/v1/ops/dead-letters/groups": OPERATIONS_READERS,
    "GET /api/v1/ops/dead-letters/{dead_letter_id}": OPERATIONS_READERS,
    "POST /api/v1/ops/dead-letters/redrive": OPERATORS,
    "POST /api/v1/ops/dead-letters/{dead_letter_id}/discard": OPERATORS,
    "GET /api/v1/ops/outbox/audit": OPERATIONS_READERS,
    "GET /api/v1/ops/outbox/audits/last": OPERATIONS_READERS,
    "GET /api/v1/ops/verify": OPERATIONS_READERS,
    "POST /api/v1/ops/reconciliations": OPERATORS,
    "GET /api/v1/ops/reconciliations": OPERATIONS_READERS,
    "POST /api/v1/ops/reconciliations/statements": OPERATORS,
    "GET /api/v1/ops/reconciliations/{reconciliation_id}": OPERATIONS_READERS,
    "GET /api/v1/ops/reconciliations/{reconciliation_id}/breaks": OPERATIONS_READERS,
    "GET /api/v1/ops/reconciliation-breaks/{break_id}": OPERATIONS_READERS,
    "POST /api/v1/ops/reconciliation-breaks/{break_id}/resolve": OPERATORS,
    "POST /api/v1/ops/reconciliation-breaks/{break_id}/explain": OPERATORS,
    "POST /api/v1/ops/reconciliation-breaks/{break_id}/void": OPERATORS,
    "POST /api/v1/ops/replays": OPERATORS,
    "GET /api/v1/ops/replays": OPERATIONS_READERS,
    "GET /api/v1/ops/replays/{replay_id}": OPERATIONS_READERS,
    "POST /api/v1/ops/replays/{replay_id}/pause": OPERATORS,
    "POST /api/v1/ops/replays/{replay_id}/resume": OPERATORS,
    "POST /api/v1/ops/replays/{replay_id}/cancel": OPERATORS,
    "GET /api/v1/ops/archive": OPERATIONS_READERS,
    "POST /api/v1/ops/archive/run": OPERATORS,
    "GET /api/v1/ops/archive/{month}": OPERATIONS_READERS,
    "POST /api/v1/ops/archive/{month}/restore": OPERATORS,
    "POST /api/v1/ops/ledger/corrections": OPERATORS,
    "GET /api/v1/ops/ledger/corrections": OPERATIONS_READERS,
    "GET /api/v1/ops/ledger/corrections/{correction_id}": OPERATIONS_READERS,
    "POST /api/v1/ops/ledger/rebuilds": OPERATORS,
    "GET /api/v1/ops/ledger/rebuilds": OPERATIONS_READERS,
    "GET /api/v1/ops/ledger/rebuilds/{rebuild_id}": OPERATIONS_READERS,
    "POST /api/v1/ops/ledger/rebuilds/{rebuild_id}/cancel": OPERATORS,
    "POST /api/v1/ops/ledger/rebuilds/{rebuild_id}/switch": OPERATORS,
    "GET /api/v1/ops/ledger/books": OPERATIONS_READERS,
    "DELETE /api/v1/ops/ledger/books/{book}": OPERATORS,
}
