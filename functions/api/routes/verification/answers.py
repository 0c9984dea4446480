"""Answer the requests for checks of invariants."""

from __future__ import annotations

from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context
from api.problems import validation_failed
from api.request.query import check_query_string
from paybridge.core.fields import FieldError, shown_path
from paybridge.verification.verify import all_hold
from paybridge.verification.verify import verify as verify_all
from paybridge.wiring import verification as verification_wiring

# A caller waits for 29 s at most. A check that has begun comes to its end.
REQUEST_SECONDS_MAX = 15.0


def verify(request: Request) -> Response:
    """Make every check, or the one that is named. Raises Problem (400, 422)."""
    services = request_context(request).services
    checks = verification_wiring.checks_over(services.database, services.clock, services.ids)
    only = _parse_query(request.scope["query_string"], tuple(checks))
    chosen = checks if only is None else {only: checks[only]}
    found = list(verify_all(chosen, seconds_max=REQUEST_SECONDS_MAX))
    answer = {"holds": all_hold(found), "data": [named.view() for named in found]}
    return Response(orjson.dumps(answer), 200, None, "application/json")


def _parse_query(raw_query: bytes, known: tuple[str, ...]) -> str | None:
    """Return the check that is asked for, None for all. Raises Problem (400, 422)."""
    check_query_string(raw_query)
    members = dict(parse_qsl(raw_query.decode("ascii"), keep_blank_values=True))
    faults = [
        FieldError(shown_path([name]), "unknown_member", "Unknown parameter. Remove it or check its spelling.")
        for name in sorted(set(members) - {"check"})
    ]
    only = members.get("check")
    if only is not None and only not in known:
        faults.append(FieldError("check", "not_an_option", f"Send one of {', '.join(known)}."))
    if faults:
        raise validation_failed(faults)
    return only
