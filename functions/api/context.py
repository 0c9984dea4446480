"""The context of a request: its correlation id and the services that answer it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request

from api.auth import Authenticator
from api.callers import KnownCaller
from api.problems import Problem
from paybridge.access.domain.caller import Principal, Role
from paybridge.access.permissions import Permission
from paybridge.core.correlation import is_safe_id
from paybridge.core.ids import Ids
from paybridge.wiring.api import ApiServices

SCOPE_KEY = "paybridge.context"
_CALLER_KEY = "paybridge.caller"
CORRELATION_HEADER = b"x-correlation-id"

_INCOMING_HEADERS = (CORRELATION_HEADER, b"x-request-id")


@dataclass(slots=True)
class RequestContext:
    """What every route can reach through its request.

    `has_accepted`: the request created a payment. `limited` is the caller if it has a rate limit.
    """

    services: ApiServices
    authenticator: Authenticator
    correlation_id: str
    has_accepted: bool = False
    limited: KnownCaller | None = None


def request_context(request: Request) -> RequestContext:
    """Return the context that the outermost middleware made."""
    context: RequestContext = request.scope[SCOPE_KEY]
    return context


def authorize(request: Request, permission: Permission) -> None:
    """Find the caller for `caller` and check its role. Raises Problem (400, 401, 403)."""
    context = request_context(request)
    if permission.is_public or (permission.is_public_locally and context.services.is_local):
        return
    principal, known = context.authenticator.authenticate(request.headers)
    if known.plans:
        context.limited = known
    if principal.role not in permission.roles:
        raise _not_permitted(permission.roles)
    request.scope[_CALLER_KEY] = principal


def _not_permitted(roles: frozenset[Role]) -> Problem:
    if roles == {Role.MERCHANT}:
        detail = "Only a merchant can use this resource. Send a merchant's API key."
    else:
        detail = f"This resource needs an API key with one of the roles {', '.join(sorted(roles))}."
    return Problem(403, "role_not_permitted", detail)


def caller(request: Request) -> Principal:
    """Return the caller that the route has checked."""
    principal: Principal = request.scope[_CALLER_KEY]
    return principal


def calling_merchant(request: Request) -> UUID:
    """Return the id of the calling merchant, on a route that only merchants may use."""
    merchant_id = caller(request).merchant_id
    if merchant_id is None:
        raise TypeError("the route is not for merchants alone")
    return merchant_id


def visible_merchant(request: Request) -> UUID | None:
    """Return the id of the merchant whose resources the caller may read, None for those of every merchant."""
    principal = caller(request)
    return principal.merchant_id if principal.role is Role.MERCHANT else None


def public_path(request: Request, path: str) -> str:
    """Return the path under which clients reach `path`, which may be below a stage or the path of a custom domain."""
    return f"{request.scope.get('root_path', '')}{path}"


def choose_correlation_id(headers: Iterable[tuple[bytes, bytes]], ids: Ids) -> str:
    """Return the caller's X-Correlation-Id or X-Request-Id if it is safe in logs and headers, otherwise a new UUID."""
    named = {bytes(name): value for name, value in headers if name in _INCOMING_HEADERS}
    for header in _INCOMING_HEADERS:
        value = named.get(header)
        # Every byte is a character in this encoding, and only ASCII is safe.
        if value is not None and is_safe_id(text := value.decode("latin-1")):
            return text
    return str(ids.new())
