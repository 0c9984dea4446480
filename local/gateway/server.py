"""HTTP in front of the simulated gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from local.gateway.gateway import Conflict, Gateway, KeyReused, Unanswered, Unavailable
from local.gateway.log import Record
from local.gateway.orders import BadRequest
from local.http.lean import Request, Response, json_response

BODY_BYTES_MAX = 64 * 1024
# Fields of a record that no answer shows.
_PRIVATE = frozenset({"payment_method", "latency_ms", "asked_minor", "decided_at", "reversed_at"})
_STATUSES = {"succeeded": 201, "pending": 202, "declined": 402}
_KINDS = {
    "/charges": "charge",
    "/authorizations": "authorization",
    "/captures": "capture",
    "/voids": "void",
    "/refunds": "refund",
}
# For who runs the gateway. They work while it is down for its clients.
_STEERING = frozenset({"/_control", "/_settle"})
_SENTENCES = {503: "the gateway is unavailable", 429: "too many requests"}
_RETRY_AFTER = {"Retry-After": "1"}


class GatewayServer:
    """Map HTTP requests to the gateway and its log."""

    def __init__(self, gateway: Gateway, notices_sending: Callable[[], int] = lambda: 0) -> None:
        self._gateway = gateway
        self._notices_sending = notices_sending

    async def handle(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except BadRequest as error:
            return _error(400, str(error))
        except KeyReused:
            return _error(409, "this idempotency key was used with other parameters")
        except (Conflict, Unavailable) as error:
            return _refusal(error)
        except OSError as error:
            return _error(500, f"the log cannot be written: {error.strerror}")
        except Unanswered:
            return await _wait_forever(request)

    async def _route(self, request: Request) -> Response:
        method, path = request.method, request.path
        if method == "POST" and path in _STEERING:
            return self._settle() if path == "/_settle" else self._control(request)
        if self._gateway.behaviour.down:
            raise Unavailable(503)
        if method == "POST" and path in _KINDS:
            return await self._operate(_KINDS[path], request)
        match method, path:
            case "GET", "/charges":
                return self._look_up(_query(request, "reference"), request.parameter("operation_id"))
            case "GET", "/statement":
                return self._statement(request)
            case "GET", "/health":
                return json_response(200, {"status": "ok"})
        return _error(404, "there is nothing here")

    async def _operate(self, kind: str, request: Request) -> Response:
        answer = await self._gateway.operate(kind, _key(request), _body(request))
        replayed = {"Idempotency-Replayed": "true"} if answer.replayed else None
        return json_response(_STATUSES[answer.record["status"]], public(answer.record), replayed)

    def _look_up(self, reference: str, operation_id: str | None) -> Response:
        """List the records of the reference, or those alone that say what became of one operation."""
        records = self._gateway.of_reference(reference)
        if operation_id is not None:
            records = [record for record in records if _concerns(record, operation_id)]
        if not records and self._gateway.behaviour.unknown_status != 200:
            return _error(self._gateway.behaviour.unknown_status, "no such reference")
        return json_response(200, [public(record) for record in records])

    def _statement(self, request: Request) -> Response:
        """List the records of a day, a page at a time if the client names a limit."""
        day = self._gateway.of_day(_query(request, "date"))
        begin, end = request.parameter("created_from"), request.parameter("created_to")
        if begin or end:
            day = [record for record in day if (begin or "") <= record["created_at"] < (end or "~")]
        limit, after = _number(request, "limit", len(day)), _number(request, "after", 0)
        page = [public(self._gateway.as_it_stands(record)) for record in day[after : after + limit]]
        more = {"Next-After": str(after + limit)} if after + limit < len(day) else None
        return json_response(200, page, more)

    def _settle(self) -> Response:
        return json_response(200, {"next_at": self._gateway.settle(), "sending": self._notices_sending()})

    def _control(self, request: Request) -> Response:
        changes = _body(request)
        if not isinstance(changes, dict):
            raise BadRequest("the body must be a JSON object")
        try:
            self._gateway.behaviour = self._gateway.behaviour.changed(changes)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        behaviour = self._gateway.behaviour
        return json_response(200, {name: getattr(behaviour, name) for name in behaviour.__slots__})


def public(record: Record) -> Record:
    """Return the record without the fields that no client sees."""
    return {name: value for name, value in record.items() if name not in _PRIVATE}


def _concerns(record: Record, operation_id: str) -> bool:
    """Return whether the record is the operation's, of no named operation, or of an authorization."""
    return record.get("operation_id") in (None, operation_id) or record["kind"] == "authorization"


async def _wait_forever(request: Request) -> Response:
    """Hold the connection until the client gives up, like a gateway whose answer is lost."""
    await request.client_gone()
    return Response(504)


def _body(request: Request) -> Any:
    if len(request.body) > BODY_BYTES_MAX:
        raise BadRequest("the body is too long")
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise BadRequest("the body is not JSON") from error


def _key(request: Request) -> str:
    return request.headers.get("idempotency-key", "")


def _query(request: Request, name: str) -> str:
    if not (value := request.parameter(name)):
        raise BadRequest(f"the parameter {name} is missing")
    return value


def _number(request: Request, name: str, default: int) -> int:
    value = request.parameter(name)
    if value is not None and not (value.isascii() and value.isdigit()):
        raise BadRequest(f"the parameter {name} must be a whole number")
    return default if value is None else int(value)


def _refusal(error: Conflict | Unavailable) -> Response:
    if isinstance(error, Conflict):
        return json_response(error.status, {"error": {"code": error.code}})
    headers = _RETRY_AFTER if error.status == 429 else None
    return _error(error.status, _SENTENCES.get(error.status, "internal error"), headers)


def _error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return json_response(status, {"error": detail}, headers)
