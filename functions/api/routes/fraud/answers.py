"""Answer the requests about fraud rules."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import RequestContext, calling_merchant, public_path, request_context
from api.problems import Problem
from api.request.json_body import check_content_type
from api.request.parameters import parse_id
from api.request.query import check_query_string
from api.routes.fraud.requests import parse_dry_run, parse_rules, parse_version
from paybridge.core.times import format_time
from paybridge.fraud.domain.dry_run import DryRun, DryRunState
from paybridge.fraud.dry_run import read_dry_run as read
from paybridge.fraud.dry_run import start_dry_run as start
from paybridge.fraud.ports import FraudServices
from paybridge.fraud.rules import NO_RULES, StoredRules, read_fraud_rules, replace_fraud_rules
from paybridge.wiring.fraud import services_over

DRY_RUNS = "/api/v1/fraud-rules/dry-run"
ACTOR = "merchant"


def read_rules(request: Request, version: str | None) -> Response:
    """Return the rules, the present ones unless a version is named. Raises Problem (404)."""
    context = request_context(request)
    check_query_string(request.scope["query_string"])
    number = parse_version(version)
    found = read_fraud_rules(context.services.database, calling_merchant(request), number)
    if found is None and number is not None:
        raise Problem(404, "fraud_rules_not_found", "The fraud rules have no such version.")
    return _json(_rules_view(found or NO_RULES))


async def replace_rules(request: Request) -> Response:
    """Store the rules in the body as a new version. Raises Problem (400, 413, 415, 422)."""
    context = request_context(request)
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    rules = parse_rules(await request.body())
    services = context.services
    return _json(
        _rules_view(replace_fraud_rules(services.database, services.clock, calling_merchant(request), rules, ACTOR))
    )


async def start_dry_run(request: Request) -> Response:
    """Begin a dry run of the rules in the body. Raises Problem (400, 413, 415, 422)."""
    context = request_context(request)
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    order = parse_dry_run(await request.body())
    dry_run = start(_services(context), calling_merchant(request), order.rules, order.begin_at, order.end_at)
    is_running = dry_run.state is DryRunState.RUNNING
    location = {"Location": public_path(request, f"{DRY_RUNS}/{dry_run.id}")}
    return _json(dry_run.view(), 202 if is_running else 200, location)


def read_dry_run(request: Request, dry_run_id: str) -> Response:
    """Return a dry run. Raises Problem (404)."""
    dry_run = read(_services(request_context(request)), calling_merchant(request), _parse_id(dry_run_id))
    return _json(_found(dry_run).view())


def _services(context: RequestContext) -> FraudServices:
    return services_over(context.services.database, context.services.clock, context.services.ids)


def _rules_view(stored: StoredRules) -> dict[str, Any]:
    created_at = None if stored.created_at is None else format_time(stored.created_at)
    return {"rules": stored.rules, "version": stored.version, "created_at": created_at}


def _parse_id(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _found(dry_run: DryRun | None) -> DryRun:
    if dry_run is None:
        raise _not_found()
    return dry_run


def _not_found() -> Problem:
    return Problem(404, "dry_run_not_found", "No such dry run. Check the id and the API key.")


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
