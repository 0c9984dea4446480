"""Read what was sent to a webhook, and send it again.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.webhook_deliveries import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
DeliveryId = Annotated[str, Path(description="The delivery's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1/webhook-deliveries", tags=["webhooks"], route_class=GuardedRoute)


@router.get("/{delivery_id}", **documentation.READ)
async def read(request: Request, delivery_id: DeliveryId) -> Response:
    """Read a delivery: the text that is sent, and every attempt with the receiver's answer."""
    from api.routes.webhook_deliveries import answers

    return answers.read(request, delivery_id)


@router.post("/{delivery_id}/redeliver", status_code=202, **documentation.REDELIVER)
async def redeliver(request: Request, delivery_id: DeliveryId) -> Response:
    """Send a webhook again whose delivery has ended, well or not.

    It goes out at once with the same `webhook-id` and the same body. If it fails, the schedule of retries begins again.
    A delivery that is still pending is sent anyway, so the answer is 409 and nothing changes.
    """
    from api.routes.webhook_deliveries import answers

    return answers.redeliver(request, delivery_id)
