"""Create, change, test and delete webhook endpoints, and rotate their secrets.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.webhook_endpoints import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
EndpointId = Annotated[str, Path(description="The endpoint's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1/webhook-endpoints", tags=["webhooks"], route_class=GuardedRoute)


@router.post("", status_code=201, **documentation.CREATE)
async def create(request: Request) -> Response:
    """Create an endpoint for the events that happen from now on.

    The answer holds the secret that signs them, which is never shown again.
    """
    from api.routes.webhook_endpoints import answers

    return await answers.create(request)


@router.get("", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List endpoints, newest first."""
    from api.routes.webhook_endpoints import answers

    return answers.list_(request)


@router.get("/{endpoint_id}", **documentation.READ)
async def read(request: Request, endpoint_id: EndpointId) -> Response:
    """Read an endpoint."""
    from api.routes.webhook_endpoints import answers

    return answers.read(request, endpoint_id)


@router.patch("/{endpoint_id}", **documentation.CHANGE)
async def change(request: Request, endpoint_id: EndpointId) -> Response:
    """Change URL, events, description or status.

    Scheduled tries follow: they go to the new URL, end if their event is no longer chosen, and wait while the endpoint
    is disabled.
    """
    from api.routes.webhook_endpoints import answers

    return await answers.change(request, endpoint_id)


@router.delete("/{endpoint_id}", status_code=204, **documentation.DELETE)
async def delete(request: Request, endpoint_id: EndpointId) -> Response:
    """Delete an endpoint. Nothing more is sent to it."""
    from api.routes.webhook_endpoints import answers

    return answers.delete(request, endpoint_id)


@router.get("/{endpoint_id}/deliveries", **documentation.LIST_DELIVERIES)
async def deliveries(request: Request, endpoint_id: EndpointId) -> Response:
    """List what was sent to an endpoint, the newest events first, each with its newest attempt."""
    from api.routes.webhook_endpoints import answers

    return answers.deliveries(request, endpoint_id)


@router.post("/{endpoint_id}/rotate-secret", **documentation.ROTATE)
async def rotate_secret(request: Request, endpoint_id: EndpointId) -> Response:
    """Give an endpoint a new secret. Webhooks are signed with both until the overlap ends."""
    from api.routes.webhook_endpoints import answers

    return await answers.rotate(request, endpoint_id)


@router.post("/{endpoint_id}/test", status_code=202, **documentation.TEST)
async def test(request: Request, endpoint_id: EndpointId) -> Response:
    """Send a test. It is a delivery of type `webhook_endpoint.test` like any other, with retries and a log."""
    from api.routes.webhook_endpoints import answers

    return answers.test(request, endpoint_id)
