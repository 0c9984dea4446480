"""The Lambda entry of the API: API Gateway's HTTP events in, responses out."""

from __future__ import annotations

import logging
from functools import cache, cached_property
from typing import Any, Final

from aws_lambda_powertools import Logger
from fastapi import FastAPI
from mangum import Mangum
from mangum.handlers import HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Scope

from api.app import create_app
from api.problems import PROBLEM_MEDIA_TYPE, Problem, problem_response
from paybridge.observability.logging import logger as make_logger
from paybridge.observability.stack import frames_of
from paybridge.wiring.api import api_services

# Mangum sends what it does not know as text in base64, which clients of a raw invocation would have to undo.
TEXT_MEDIA_TYPES: Final = ["text/", "application/json", PROBLEM_MEDIA_TYPE]

# Mangum parses these into numbers and fails on IPv6 literals and on nonsense; no answer depends on them.
_UNUSED_HEADERS: Final = frozenset({"host", "x-forwarded-port"})

_RETRY: Final = {"Retry-After": "1"}

Event = dict[str, Any]


class HttpEvent(HTTPGateway):
    """Mangum's reading of HTTP events of payload format 2.0, without the headers that it fails on.

    Mangum asks for the scope once to run the application and once more for the format; it is made once here.
    """

    def __init__(self, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> None:
        headers = event.get("headers") or {}
        event["headers"] = {name: value for name, value in headers.items() if name.lower() not in _UNUSED_HEADERS}
        super().__init__(event, context, config)

    @cached_property
    def scope(self) -> Scope:
        """The ASGI scope of the request."""
        return super().scope


class ApiHandler:
    """Answers API Gateway HTTP events (payload format 2.0) with the application."""

    def __init__(self, app: FastAPI, logger: Logger) -> None:
        # The access log is ours: Mangum's would repeat each line, with the raw path in it.
        logging.getLogger("mangum").setLevel(logging.ERROR)
        self._mangum = Mangum(app, lifespan="off", custom_handlers=[HttpEvent], text_mime_types=TEXT_MEDIA_TYPES)
        self._logger = logger

    def __call__(self, event: Event, context: Any) -> Event:
        """The response to one event; an event that is not HTTP in UTF-8 is answered with 400."""
        try:
            return self._mangum(event, context)
        except ValueError as error:
            # Text that is no UTF-8 or base64 that is none: the application was never reached.
            self._logger.warning("malformed event", error_type=type(error).__name__)
            return _refusal(event, Problem(400, "request_malformed", "The request is not HTTP in UTF-8."))


def handler(event: Event, context: Any) -> Event:
    """Answers one API Gateway event; the first one of an environment reads the settings."""
    try:
        answer = _environment_handler()
    except Exception as error:  # noqa: BLE001 -- whichever service the settings come from, callers are told to retry.
        _logger().error("cannot start", error_type=type(error).__name__, stack=frames_of(error))
        problem = Problem(503, "service_unavailable", "The service is not available at the moment.", headers=_RETRY)
        return _refusal(event, problem)
    return answer(event, context)


@cache
def _environment_handler() -> ApiHandler:
    return ApiHandler(create_app(api_services(), _logger()), _logger())


@cache
def _logger() -> Logger:
    return make_logger()


def _refusal(event: Event, problem: Problem) -> Event:
    request_id = str((event.get("requestContext") or {}).get("requestId", ""))
    response = problem_response(problem, request_id)
    return {
        "statusCode": response.status_code,
        "headers": dict(response.headers),
        "body": bytes(response.body).decode(),
        "isBase64Encoded": False,
    }
