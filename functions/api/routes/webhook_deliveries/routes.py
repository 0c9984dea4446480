"""Read what was sent to webhooks, send it again, and send what was missed.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.webhook_deliveries import documentation
from api.routes.webhook_endpoints.routes import EndpointId

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
DeliveryId = Annotated[str, Path(description="The delivery's id.", json_schema_extra={"format": "uuid"})]
RecoveryId = Annotated[str, Path(description="The recovery's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1", tags=["webhooks"], route_class=GuardedRoute)


@router.get("/webhook-deliveries/{delivery_id}", **documentation.READ)
async def read(request: Request, delivery_id: DeliveryId) -> Response:
    """Read a delivery: the text that is sent, and every attempt with the receiver's answer."""
    from api.routes.webhook_deliveries import answers

    return answers.read(request, delivery_id)


@router.post("/webhook-deliveries/{delivery_id}/redeliver", status_code=202, **documentation.REDELIVER)
async def redeliver(request: Request, delivery_id: DeliveryId) -> Response:
    """Send a webhook again whose delivery has ended, well or not.

    It goes out at once with the same `webhook-id` and the same body. If it fails, the schedule of retries begins again.
    A delivery that is still pending is sent anyway, so the answer is 409 and nothing changes.
    """
    from api.routes.webhook_deliveries import answers

    return answers.redeliver(request, delivery_id)


@router.post("/webhook-endpoints/{endpoint_id}/recover", status_code=202, **documentation.RECOVER)
async def recover(request: Request, endpoint_id: EndpointId) -> Response:
    """Send an endpoint what it has missed since a time.

    That is every event of the types it chooses which was never sent to it, or whose delivery had ended without success
    by now. Each is sent once, however often this is called while the recovery runs: then the answer is the running
    recovery, which searches from the earlier of both times.
    """
    from api.routes.webhook_deliveries import answers

    return await answers.recover(request, endpoint_id)


@router.get("/webhook-endpoints/{endpoint_id}/recoveries/{recovery_id}", **documentation.READ_RECOVERY)
async def read_recovery(request: Request, endpoint_id: EndpointId, recovery_id: RecoveryId) -> Response:
    """Read how far a recovery is."""
    from api.routes.webhook_deliveries import answers

    return answers.read_recovery(request, endpoint_id, recovery_id)
