"""HTTP in front of the simulated gateway."""

import asyncio
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict

from local.gateway.gateway import BadRequest, Gateway, KeyReused, Unanswered, Unavailable
from local.gateway.log import Record

BODY_BYTES_MAX = 64 * 1024
# Fields of a record that the log has and no answer shows.
_PRIVATE = frozenset({"payment_method", "latency_ms"})


class GatewayServer:
    """Maps HTTP requests to the gateway and its log.

    It is a bare handler for `aiohttp.web.Server`, because the router and middlewares of an application would cost
    processor time that belongs to what is being measured against this gateway.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._route(request)
        except BadRequest as error:
            return _error(400, str(error))
        except KeyReused:
            return _error(409, "this idempotency key was used with other parameters")
        except Unavailable as error:
            return _error(error.status, "the gateway is unavailable" if error.status == 503 else "internal error")
        except Unanswered:
            return await _wait_for_ever(request)
        except ConnectionResetError:
            return _error(400, "the client has hung up")  # Nobody reads this.

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        method, path = request.method, request.path
        if (method, path) == ("POST", "/_control"):
            return await self._control(request)
        if self._gateway.behaviour.down:
            raise Unavailable(503)
        match method, path:
            case "POST", "/charges":
                answer = await self._gateway.charge(_key(request), await _body(request))
            case "POST", "/refunds":
                answer = await self._gateway.refund(_key(request), await _body(request))
            case "GET", "/charges":
                return _json(200, [_public(r) for r in self._gateway.log.of_reference(_query(request, "reference"))])
            case "GET", "/statement":
                return _json(200, [_public(r) for r in self._gateway.log.of_day(_query(request, "date"))])
            case "GET", "/health":
                return _json(200, {"status": "ok"})
            case _:
                return _error(404, "there is nothing here")
        status = 201 if answer.record["status"] == "succeeded" else 402
        return _json(status, _public(answer.record), {"Idempotency-Replayed": "true"} if answer.replayed else None)

    async def _control(self, request: web.BaseRequest) -> web.StreamResponse:
        changes = await _body(request)
        if not isinstance(changes, dict):
            raise BadRequest("the body must be a JSON object")
        try:
            self._gateway.behaviour = self._gateway.behaviour.changed(changes)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        behaviour = self._gateway.behaviour
        return _json(200, {name: getattr(behaviour, name) for name in behaviour.__slots__})


async def _wait_for_ever(request: web.BaseRequest) -> web.StreamResponse:
    """Hold the connection until the client gives up, as a gateway whose answer is lost would."""
    while request.transport is not None:  # noqa: ASYNC110 - aiohttp offers no event for a lost connection here
        await asyncio.sleep(0.5)
    return web.Response(status=504)


async def _body(request: web.BaseRequest) -> Any:
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise BadRequest("the body is too long")
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise BadRequest("the body is not JSON") from error


def _key(request: web.BaseRequest) -> str:
    return request.headers.get("Idempotency-Key", "")


def _query(request: web.BaseRequest, name: str) -> str:
    if not (value := request.query.get(name)):
        raise BadRequest(f"the parameter {name} is missing")
    return value


def _public(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in _PRIVATE}


def _error(status: int, detail: str) -> web.Response:
    return _json(status, {"error": detail})


def _json(status: int, content: Any, headers: dict[str, str] | None = None) -> web.Response:
    all_headers: CIMultiDict[str] = CIMultiDict(headers or {})
    all_headers["Content-Type"] = "application/json"
    return web.Response(status=status, body=orjson.dumps(content), headers=all_headers)
