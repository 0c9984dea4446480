"""`POST /gateways/{name}/notices`: a gateway says that something happened there.

It needs no API key: the gateway signs its notice. Whatever a notice says, it only makes us ask the gateway.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.context import request_context
from api.guarded_route import GuardedRoute
from api.plain_route import read_body
from api.problems import Problem

BODY_BYTES_MAX = 256 * 1024

# For gateways: docs/operators/gateways.md describes it, and not the merchants' document.
router = APIRouter(prefix="/api/v1/gateways", include_in_schema=False, route_class=GuardedRoute)


@router.post("/{name}/notices")
async def accept(request: Request, name: str) -> Response:
    """Accept a notice once; the second time changes nothing and gets the same answer."""
    # Few environments of the API ever get one, so a cold start does not load these.
    from paybridge.payments.accept_notice import accept_notice
    from paybridge.payments.domain.notice import NoticeMalformed, NoticeRefused

    services = request_context(request).services
    reader = services.find_notice_reader(name)
    if reader is None:
        raise Problem(404, "gateway_not_found", "No gateway of this name sends notices here. Check the URL.")
    body = await read_body(request)
    if len(body) > BODY_BYTES_MAX:
        raise Problem(413, "body_too_large", f"The body is too large. Send at most {BODY_BYTES_MAX} bytes.")
    try:
        notice = reader.read(request.headers, body, services.clock.now())
    except NoticeRefused as error:
        raise Problem(401, "notice_refused", f"{error} Sign each try with the secret of this gateway.") from None
    except NoticeMalformed as error:
        raise Problem(400, "notice_malformed", f"{error} Nothing was done.") from None
    accept_notice(services.database, services.clock, services.ids, name, notice)
    return Response(b'{"received":true}', media_type="application/json")
