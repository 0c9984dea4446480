"""HTTP requests as API Gateway's HTTP API passes them to Lambda (payload format 2.0), and the answers back."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from infra.sam_template.definitions import ACCOUNT_ID, FunctionDefinition
from local.http.messages import header_lines

API_ID = "local"
# What API Gateway passes as text. Everything else, and text that is not UTF-8, is base64.
_TEXT_TYPES = re.compile(r"text/|application/(json|javascript|xml|[\w.-]+\+(json|xml))\b", re.IGNORECASE)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Headers between two hops only. Lengths are computed again.
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


class MalformedResponseError(Exception):
    """The function's answer cannot be turned into HTTP."""


@dataclass(frozen=True)
class Route:
    """One route of the HTTP API and the function behind it."""

    key: str
    method: str
    pattern: re.Pattern[str]
    # Fixed segments beat parameters and parameters beat `{proxy+}`, segment by segment; a method beats ANY.
    rank: tuple[tuple[int, ...], int]
    function: FunctionDefinition

    def matches(self, method: str, path: str) -> Mapping[str, str] | None:
        """Return the path parameters, or None if the route does not match."""
        if self.method not in {"ANY", method}:
            return None
        match = self.pattern.fullmatch(path)
        return match.groupdict() if match else None


def routes(functions: Iterable[FunctionDefinition]) -> list[Route]:
    """Return all HttpApi events as routes, the most specific first."""
    found = [_route(event.method, event.path, function) for function in functions for event in function.http]
    return sorted(found, key=lambda route: route.rank)


def _route(method: str, path: str, function: FunctionDefinition) -> Route:
    if path == "$default":
        return Route("$default", "ANY", re.compile(".*", re.DOTALL), ((3,), 1), function)
    kinds, parts = [], []
    for segment in path.strip("/").split("/"):
        if segment.endswith("+}"):
            kinds.append(2)
            parts.append(f"(?P<{segment[1:-2]}>.+)")
        elif segment.startswith("{"):
            kinds.append(1)
            parts.append(f"(?P<{segment[1:-1]}>[^/]+)")
        else:
            kinds.append(0)
            parts.append(re.escape(segment))
    pattern = re.compile("/" + "/".join(parts) + ("/?" if path != "/" else ""), re.DOTALL)
    return Route(f"{method} {path}", method, pattern, (tuple(kinds), method == "ANY"), function)


def new_request_id() -> str:
    """Return sixteen characters such as JKJaXmPLvHcESHA=, like API Gateway's."""
    return f"{secrets.token_urlsafe(11)}="


@dataclass(slots=True)
class HttpRequest:
    """A request as it came over the wire: `target` is path and query, undecoded. Headers are in their order."""

    method: str
    target: str
    headers: Iterable[tuple[str, str]]
    body: bytes
    source_ip: str
    protocol: str = "HTTP/1.1"


def http_event(request: HttpRequest, route: Route, path_parameters: Mapping[str, str], request_id: str) -> bytes:
    """Return the event as JSON bytes. `path_parameters` are undecoded, as `Route.matches` returns them."""
    path, _, query = request.target.partition("?")
    headers, cookies = _headers(request.headers)
    host = headers.get("host", "localhost")
    headers.setdefault("x-forwarded-for", request.source_ip)
    headers.setdefault("x-forwarded-proto", "http")
    headers.setdefault("x-forwarded-port", host.rpartition(":")[2] if ":" in host else "80")
    body, encoded = _body(request.body, headers.get("content-type", ""), headers.get("content-encoding", ""))
    now_ms = time.time_ns() // 1_000_000
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": host.partition(":")[0],
            "domainPrefix": host.partition(":")[0].partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": request.protocol,
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": route.key,
            "stage": "$default",
            "time": _clf_time(now_ms // 1_000),
            "timeEpoch": now_ms,
        },
        "isBase64Encoded": encoded,
    }
    # Absent parts are left out of the event, as on AWS.
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _query(query)
    if path_parameters:
        event["pathParameters"] = {name: unquote(value) for name, value in path_parameters.items()}
    if request.body:
        event["body"] = body
    return orjson.dumps(event)


def _headers(raw: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Return lower-case headers, repeated ones joined by commas, and the cookies, which API Gateway separates."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in raw:
        if name == "cookie":
            cookies.extend(part.strip() for part in value.split(";") if part.strip())
        else:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers, cookies


def _query(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _body(body: bytes, content_type: str, content_encoding: str) -> tuple[str, bool]:
    if not content_encoding and (not content_type or _TEXT_TYPES.match(content_type)):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            # The content type is wrong: the function gets the bytes as they are.
            return base64.b64encode(body).decode(), True
    return base64.b64encode(body).decode(), True


@lru_cache(maxsize=1)
def _clf_time(second: int) -> str:
    """Return a time such as `12/Mar/2020:19:03:58 +0000`, in English whatever the locale."""
    now = time.gmtime(second)
    return f"{now.tm_mday:02}/{_MONTHS[now.tm_mon - 1]}/{time.strftime('%Y:%H:%M:%S', now)} +0000"


@dataclass(slots=True)
class HttpResponse:
    """A response for the wire. `headers` are whole lines."""

    status: int
    headers: bytes
    body: bytes


def http_response(payload: bytes) -> HttpResponse:
    """Return a function's answer as HTTP. Without a statusCode the whole answer is the JSON body, as in format 2.0.

    Raises MalformedResponseError.
    """
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise MalformedResponseError("The function's answer is not JSON.") from error
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return HttpResponse(200, b"content-type: application/json\r\n", payload)
    try:
        return HttpResponse(_status(answer), header_lines(_response_headers(answer)), _response_body(answer))
    except (TypeError, ValueError, AttributeError) as error:
        raise MalformedResponseError(f"The function's answer does not fit payload format 2.0: {error}") from error


def _status(answer: Mapping[str, Any]) -> int:
    status = int(answer["statusCode"])
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is not a final status")
    return status


def _response_headers(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    repeated = {name.lower(): values for name, values in (answer.get("multiValueHeaders") or {}).items()}
    single = {name.lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
    headers = [(name, value) for name, value in single.items() if name not in _HOP_BY_HOP and name not in repeated]
    for name, values in (*repeated.items(), ("set-cookie", answer.get("cookies") or ())):
        if name not in _HOP_BY_HOP:
            headers += [(name, str(value)) for value in values]
    return headers


def _response_body(answer: Mapping[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if answer.get("isBase64Encoded"):
        return base64.b64decode(body, validate=True)
    return body.encode() if isinstance(body, str) else orjson.dumps(body)
