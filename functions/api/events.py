"""The events that invoke the function: HTTP requests in the shapes of API Gateway and load balancers, and others.

Mangum reads the shapes. It takes for granted what a test event or another proxy may leave out, so each event is
completed first and read at once, before the application runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from mangum.handlers import ALB, APIGateway, HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Response, Scope

# Mangum parses these into numbers and fails on IPv6 literals and garbage. No answer depends on them.
_UNUSED_HEADERS = frozenset({"host", "x-forwarded-port"})


class MalformedEvent(ValueError):
    """The event looks like an HTTP request and cannot be read as one."""


class _ReadAtOnce:
    """Completes an event and reads it. Mangum asks for the scope twice; here it is made once."""

    def __init__(self, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> None:
        try:
            super().__init__(_completed(event), context, config)  # type: ignore[call-arg]  # Mangum's class follows
            _ = self.scope, self.body
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedEvent(type(error).__name__) from error
        if not isinstance(self.scope["method"], str):
            raise MalformedEvent("the method is not a string")

    @cached_property
    def scope(self) -> Scope:
        """Return the ASGI scope of the request."""
        scope: Scope = super().scope  # type: ignore[misc]
        return scope

    @cached_property
    def body(self) -> bytes:
        """Return the body of the request."""
        body: bytes = super().body  # type: ignore[misc]
        return body


class HttpEvent(_ReadAtOnce, HTTPGateway):
    """An event of an HTTP API (payload formats 2.0 and 1.0) or of a function URL."""

    def __call__(self, response: Response) -> dict[str, Any]:
        """Return the answer. Mangum would give an answer without a body, such as a redirect, the type of JSON."""
        answer = super().__call__(response)
        if not response["body"] and all(name != b"content-type" for name, _ in response["headers"]):
            answer["headers"].pop("content-type", None)
        return answer


class RestEvent(_ReadAtOnce, APIGateway):
    """An event of a REST API."""


class LoadBalancerEvent(_ReadAtOnce, ALB):
    """An event of an Application Load Balancer."""


# The usual one first.
HTTP_EVENTS: list[Any] = [HttpEvent, RestEvent, LoadBalancerEvent]


def is_http(event: Any, config: LambdaConfig) -> bool:
    """Tell whether the event is an HTTP request. Warm-ups, schedules, notifications and test events are none."""
    if not isinstance(event, dict) or not isinstance(event.get("requestContext"), dict):
        return False
    return any(kind.infer(event, None, config) for kind in HTTP_EVENTS)


def request_id(event: Any) -> str:
    """Return the id that API Gateway gave the request, empty if there is none."""
    context = event.get("requestContext") if isinstance(event, dict) else None
    return str(context.get("requestId", "")) if isinstance(context, dict) else ""


def _completed(event: LambdaEvent) -> LambdaEvent:
    completed = {**event, "headers": _used(event.get("headers"))}
    if event.get("multiValueHeaders"):
        completed["multiValueHeaders"] = _used(event["multiValueHeaders"])
    http = event["requestContext"].get("http")
    if http is not None:
        completed["requestContext"] = {**event["requestContext"], "http": {"sourceIp": "", **http}}
        completed["rawQueryString"] = event.get("rawQueryString") or ""
    elif event.get("path") is None:
        completed["path"] = "/"
    # No answer depends on cookies.
    completed.pop("cookies", None)
    return completed


def _used(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the headers that are used, in lower case. Two spellings of one name are one header that came twice."""
    used: dict[str, Any] = {}
    for name, value in (headers or {}).items():
        lower = name.lower()
        if lower not in _UNUSED_HEADERS:
            used[lower] = _both(used[lower], value) if lower in used else value
    return used


def _both(first: Any, second: Any) -> Any:
    return [*first, *second] if isinstance(first, list) else f"{first},{second}"
