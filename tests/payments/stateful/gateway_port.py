"""The gateway model behind the port that the engine calls."""

from __future__ import annotations

from paybridge.payments.domain.gateway_answers import (
    Declined,
    Fault,
    GatewayAnswer,
    LookUpAnswer,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    RefusedRequest,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.ports import GatewayRequest
from tests.payments.stateful.gateway_model import (
    Asked,
    GatewayModel,
    Limited,
    Record,
    Refused,
    Silence,
    State,
    StillAtWork,
)

_FINAL = Succeeded | PartlyApproved | Declined | Pending


class ModelGateway:
    """The port PaymentGateway over a GatewayModel."""

    def __init__(self, model: GatewayModel) -> None:
        self._model = model

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        """Ask for the operation."""
        try:
            return _answer(self._model.ask(_asked(request)))
        except Silence:
            return Unknown(Fault.NO_ANSWER, "no answer")
        except Limited:
            return RateLimited(None)
        except StillAtWork:
            return UnderWay("409")
        except Refused:
            return RefusedRequest("400")

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        """Look the operation up."""
        try:
            found = self._model.look_up(request.operation_id)
        except Silence:
            return Unknown(Fault.NO_ANSWER, "no answer")
        except Limited:
            return RateLimited(None)
        if found is None:
            return NotFound()
        if found.state is State.TAKEN_BACK:
            return Declined("refund_failed", "The gateway took the refund back.", "refund_failed")
        return _answer(found)

    async def close(self) -> None:
        """There is no connection."""


def _asked(request: GatewayRequest) -> Asked:
    return Asked(
        request.operation_id,
        str(request.kind),
        request.payment_id,
        request.amount_minor,
        request.currency,
        request.idempotency_key,
        request.target_gateway_id,
    )


def _answer(record: Record) -> _FINAL:
    match record.state:
        case State.PENDING:
            return Pending(record.id)
        case State.DECLINED:
            return Declined(record.decline_code, "The gateway declined.", record.decline_code)
    if record.is_partial:
        return PartlyApproved(record.id, record.amount_minor)
    return Succeeded(record.id, record.expires_at)
