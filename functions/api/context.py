"""The context of a request: its correlation id and the services that answer it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request

from api.auth import Authenticator
from paybridge.core.ids import Ids
from paybridge.wiring.api import ApiServices

SCOPE_KEY = "paybridge.context"
_MERCHANT_KEY = "paybridge.merchant"
CORRELATION_HEADER = b"x-correlation-id"

_INCOMING_HEADERS = (CORRELATION_HEADER, b"x-request-id")
_SANE = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")
# Thirteen digits in a row may be a card number, and this id goes into every log. No UUID has more than twelve.
_CARD_LIKE = re.compile(rb"[0-9]{13}")


@dataclass(slots=True)
class RequestContext:
    """What every route can reach through its request. `has_accepted`: the request created a payment."""

    services: ApiServices
    authenticator: Authenticator
    correlation_id: str
    has_accepted: bool = False


def request_context(request: Request) -> RequestContext:
    """Return the context that the outermost middleware made."""
    context: RequestContext = request.scope[SCOPE_KEY]
    return context


def authenticate_merchant(request: Request) -> None:
    """Find the calling merchant for `calling_merchant`. Raises Problem (400, 401, 403)."""
    request.scope[_MERCHANT_KEY] = request_context(request).authenticator.merchant(request.headers)


def calling_merchant(request: Request) -> UUID:
    """Return the id of the merchant whose key the route has checked."""
    merchant_id: UUID = request.scope[_MERCHANT_KEY]
    return merchant_id


def public_path(request: Request, path: str) -> str:
    """Return the path under which clients reach `path`, which may be below a stage or the path of a custom domain."""
    return f"{request.scope.get('root_path', '')}{path}"


def choose_correlation_id(headers: Iterable[tuple[bytes, bytes]], ids: Ids) -> str:
    """Return the caller's X-Correlation-Id or X-Request-Id if it is safe in logs and headers, otherwise a new UUID."""
    named = {bytes(name): value for name, value in headers if name in _INCOMING_HEADERS}
    for header in _INCOMING_HEADERS:
        value = named.get(header)
        if value is not None and _SANE.fullmatch(value) and not _CARD_LIKE.search(value):
            return value.decode("ascii")
    return str(ids.new())
