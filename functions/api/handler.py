"""The Lambda entry of the API: API Gateway's HTTP events in, responses out."""

from __future__ import annotations

import logging
from functools import cache, cached_property
from typing import Any

from aws_lambda_powertools import Logger
from fastapi import FastAPI
from mangum import Mangum
from mangum.handlers import HTTPGateway
from mangum.types import LambdaConfig, LambdaContext, LambdaEvent, Scope

from api.app import create_app
from api.problems import PROBLEM_MEDIA_TYPE, Problem, problem_response, unavailable
from paybridge.core.causes import causes_of
from paybridge.observability.logging import logger as make_logger
from paybridge.observability.stack import stack_frames
from paybridge.wiring.api import api_services

# Mangum base64-encodes the media types that it does not know as text. Clients of a raw invocation would have to
# decode them.
TEXT_MEDIA_TYPES = ["text/", "application/json", PROBLEM_MEDIA_TYPE]

# Mangum parses these into numbers and fails on IPv6 literals and garbage. No answer depends on them.
_UNUSED_HEADERS = frozenset({"host", "x-forwarded-port"})

Event = dict[str, Any]


class HttpEvent(HTTPGateway):
    """Mangum's reading of HTTP events (payload format 2.0), without the headers that it fails on.

    Mangum asks for the scope twice: to run the application and for the format. Here it is made once.
    """

    def __init__(self, event: LambdaEvent, context: LambdaContext, config: LambdaConfig) -> None:
        headers = event.get("headers") or {}
        event["headers"] = {name: value for name, value in headers.items() if name.lower() not in _UNUSED_HEADERS}
        super().__init__(event, context, config)

    @cached_property
    def scope(self) -> Scope:
        """Return the ASGI scope of the request."""
        return super().scope


class ApiHandler:
    """Answer API Gateway HTTP events (payload format 2.0) with the application."""

    def __init__(self, app: FastAPI, logger: Logger) -> None:
        # Mangum's access log would repeat ours and show the raw path.
        logging.getLogger("mangum").setLevel(logging.ERROR)
        self._mangum = Mangum(app, lifespan="off", custom_handlers=[HttpEvent], text_mime_types=TEXT_MEDIA_TYPES)
        self._logger = logger

    def __call__(self, event: Event, context: Any) -> Event:
        """Return the response to an event. Answer 400 if the event is not HTTP in UTF-8."""
        try:
            return self._mangum(event, context)
        except ValueError as error:
            # The text is not UTF-8 or the body is not base64. The application was not reached.
            self._logger.warning("malformed event", error_type=type(error).__name__)
            return _refusal(
                event,
                Problem(400, "request_malformed", "The request is not valid UTF-8, or its body is not valid base64."),
            )


def handler(event: Event, context: Any) -> Event:
    """Answer one API Gateway event. The first event of an environment reads the settings."""
    try:
        answer = _environment_handler()
    except Exception as error:  # noqa: BLE001 -- whatever failed, the caller may retry.
        _logger().error(
            "cannot start", error_type=type(error).__name__, cause=causes_of(error), stack=stack_frames(error)
        )
        return _refusal(event, unavailable())
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
