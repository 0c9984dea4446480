"""Answer the requests for audits of the outbox."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context
from api.problems import Problem
from api.request.query import check_query_string
from api.routes.audit.requests import parse_query
from paybridge.audit.nightly import find_last
from paybridge.audit.run import begin, run_audit
from paybridge.wiring import audit as audit_wiring

# A caller waits for 29 s at most. A slice, which always comes to its end, takes a fraction of a second.
REQUEST_SECONDS_MAX = 5.0


def audit(request: Request) -> Response:
    """Audit a part of the outbox."""
    services = request_context(request).services
    check_query_string(request.scope["query_string"])
    order, position = parse_query(request.scope["query_string"], services.clock.now())
    page = run_audit(
        audit_wiring.services(services.database, services.clock), order, position or begin(order), REQUEST_SECONDS_MAX
    )
    return Response(orjson.dumps(page.view()), 200, None, "application/json")


def read_last(request: Request) -> Response:
    """Read the newest nightly audit that has ended."""
    services = request_context(request).services
    check_query_string(request.scope["query_string"])
    last = find_last(audit_wiring.services(services.database, services.clock))
    if last is None:
        raise Problem(404, "audit_not_found", "No nightly audit has ended yet. The first one begins within minutes.")
    return Response(orjson.dumps(last.view()), 200, None, "application/json")
