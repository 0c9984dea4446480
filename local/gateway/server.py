"""HTTP in front of the simulated gateway."""

from __future__ import annotations

from typing import Any

import orjson

from local.gateway.gateway import BadRequest, Gateway, KeyReused, Unanswered, Unavailable
from local.gateway.log import Record
from local.http.lean import Request, Response, json_response

BODY_BYTES_MAX = 64 * 1024
# Fields of a record that no answer shows.
_PRIVATE = frozenset({"payment_method", "latency_ms", "asked_minor", "decided_at"})
_STATUSES = {"succeeded": 201, "pending": 202, "declined": 402}


class GatewayServer:
    """Map HTTP requests to the gateway and its log."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def handle(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except BadRequest as error:
            return _error(400, str(error))
        except KeyReused:
            return _error(409, "this idempotency key was used with other parameters")
        except Unavailable as error:
            return _error(error.status, "the gateway is unavailable" if error.status == 503 else "internal error")
        except OSError as error:
            return _error(500, f"the charge log cannot be written: {error.strerror}")
        except Unanswered:
            return await _wait_forever(request)

    async def _route(self, request: Request) -> Response:
        method, path = request.method, request.path
        if (method, path) == ("POST", "/_control"):
            return self._control(request)
        if self._gateway.behaviour.down:
            raise Unavailable(503)
        match method, path:
            case "POST", "/charges":
                answer = await self._gateway.charge(_key(request), _body(request))
            case "POST", "/refunds":
                answer = await self._gateway.refund(_key(request), _body(request))
            case "GET", "/charges":
                return json_response(
                    200, [_public(r) for r in self._gateway.of_reference(_query(request, "reference"))]
                )
            case "GET", "/statement":
                return json_response(200, [_public(r) for r in self._gateway.of_day(_query(request, "date"))])
            case "GET", "/health":
                return json_response(200, {"status": "ok"})
            case _:
                return _error(404, "there is nothing here")
        replayed = {"Idempotency-Replayed": "true"} if answer.replayed else None
        return json_response(_STATUSES[answer.record["status"]], _public(answer.record), replayed)

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


def _public(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in _PRIVATE}


def _error(status: int, detail: str) -> Response:
    return json_response(status, {"error": detail})
