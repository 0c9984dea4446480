"""The API as an ASGI application."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from api.auth import Authenticator
from api.errors import add_error_handlers
from api.middleware import RequestEdge
from api.openapi import build_document, introduction
from api.routes.analytics import routes as analytics
from api.routes.analytics.documentation import analytics_schemas
from api.routes.archive import routes as archive
from api.routes.archive.documentation import archive_schemas
from api.routes.audit import routes as audit
from api.routes.audit.documentation import audit_schemas
from api.routes.corrections import routes as corrections
from api.routes.corrections.documentation import correction_schemas
from api.routes.dead_letters import routes as dead_letters
from api.routes.dead_letters.documentation import dead_letter_schemas
from api.routes.diagnosis import routes as diagnosis
from api.routes.diagnosis.documentation import diagnosis_schemas
from api.routes.docs import routes as docs
from api.routes.events import routes as events
from api.routes.events.documentation import event_feed_schemas
from api.routes.fraud import routes as fraud
from api.routes.fraud.documentation import fraud_schemas
from api.routes.gateways import routes as gateways
from api.routes.health import routes as health
from api.routes.keys import routes as keys
from api.routes.keys.documentation import key_schemas
from api.routes.ledger import routes as ledger
from api.routes.ledger.documentation import ledger_schemas
from api.routes.merchants import routes as merchants
from api.routes.merchants.documentation import merchant_schemas
from api.routes.metrics import routes as metrics
from api.routes.payments import commands as payment_commands
from api.routes.payments import routes as payments
from api.routes.payments.documentation import payment_events, payment_schemas
from api.routes.payouts import routes as payouts
from api.routes.payouts.documentation import payout_schemas
from api.routes.rebuilds import routes as rebuilds
from api.routes.rebuilds.documentation import rebuild_schemas
from api.routes.reconciliations import routes as reconciliations
from api.routes.reconciliations.documentation import reconciliation_schemas
from api.routes.refunds import routes as refunds
from api.routes.refunds.documentation import refund_schemas
from api.routes.replays import routes as replays
from api.routes.replays.documentation import replay_schemas
from api.routes.reviews import routes as reviews
from api.routes.reviews.documentation import review_schemas
from api.routes.verification import routes as verification
from api.routes.verification.documentation import verification_schemas
from api.routes.webhook_deliveries import routes as webhook_deliveries
from api.routes.webhook_deliveries.documentation import delivery_schemas
from api.routes.webhook_endpoints import routes as webhook_endpoints
from api.routes.webhook_endpoints.documentation import endpoint_schemas
from paybridge.wiring.api import ApiServices

VERSION = "1.0.0"

# FastAPI's telemetry would export the messages of exceptions, in which a database repeats the values of a row.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}


def create_app(services: ApiServices, logger: Logger) -> FastAPI:
    """Build the application over these services. It opens no connection until a request needs one."""
    authenticator = Authenticator(
        services.callers,
        services.clock,
        takes_any_key=services.is_local,
        find_verifier=services.find_token_verifier,
    )
    app = FastAPI(
        title="Paybridge",
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # A redirect would make some clients repeat a POST as a GET.
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    app.openapi = lambda: _document(app, services)  # type: ignore[method-assign]
    add_error_handlers(app)
    for routes in (
        payments,
        payment_commands,
        refunds,
        reviews,
        payouts,
        ledger,
        events,
        fraud,
        webhook_deliveries,
        webhook_endpoints,
        analytics,
        keys,
        merchants,
        dead_letters,
        replays,
        archive,
        audit,
        verification,
        reconciliations,
        diagnosis,
        corrections,
        rebuilds,
        gateways,
        metrics,
        health,
        docs,
    ):
        # include_router would look up the route of every request twice: in the app and in the router.
        app.router.routes.extend(routes.router.routes)
    app.add_middleware(RequestEdge, services=services, authenticator=authenticator, logger=logger)
    return app


def _document(app: FastAPI, services: ApiServices) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.description = introduction(is_local=services.is_local)
        schemas = (
            payment_schemas()
            | refund_schemas()
            | review_schemas()
            | payout_schemas()
            | ledger_schemas()
            | fraud_schemas()
            | event_feed_schemas()
            | delivery_schemas()
            | key_schemas()
            | endpoint_schemas()
            | merchant_schemas()
            | dead_letter_schemas()
            | replay_schemas()
            | archive_schemas()
            | audit_schemas()
            | verification_schemas()
            | reconciliation_schemas()
            | diagnosis_schemas()
            | analytics_schemas()
            | correction_schemas()
            | rebuild_schemas()
        )
        app.openapi_schema = build_document(app, schemas, payment_events(), root_path=services.root_path)
    return app.openapi_schema
