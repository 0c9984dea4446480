"""The Lambda entry of the API: API Gateway's HTTP events in, responses out."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from fastapi import FastAPI
from mangum import Mangum

from api.app import create_app
from api.events import HTTP_EVENTS, is_http, request_id
from api.problems import PROBLEM_MEDIA_TYPE, Problem, problem_response, unavailable
from paybridge.core.causes import causes_of
from paybridge.observability.logging import logger as make_logger
from paybridge.observability.stack import stack_frames
from paybridge.wiring.api import api_services

# Mangum base64-encodes the media types that it does not know as text. Clients of a raw invocation would have to
# decode them.
TEXT_MEDIA_TYPES = ["text/", "application/json", PROBLEM_MEDIA_TYPE]

Event = dict[str, Any]


class ApiHandler:
    """Answer the HTTP events of API Gateway and load balancers with the application."""

    def __init__(self, app: FastAPI, logger: Logger) -> None:
        # Mangum's access log would repeat ours and show the raw path.
        logging.getLogger("mangum").setLevel(logging.ERROR)
        self._mangum = Mangum(app, lifespan="off", custom_handlers=HTTP_EVENTS, text_mime_types=TEXT_MEDIA_TYPES)
        self._logger = logger

    def __call__(self, event: Any, context: Any) -> Event:
        """Return the response to an event. Answer 400 if the event is no HTTP request, or none in UTF-8."""
        if not is_http(event, self._mangum.config):
            # A warm-up comes here as well, and has started the environment.
            self._logger.info("no HTTP request")
            detail = "The event is no HTTP request, so nothing was done. Invoke the function through API Gateway."
            return _refusal(event, Problem(400, "not_an_http_request", detail))
        try:
            return self._mangum(event, context)
        except ValueError as error:
            # The text is not UTF-8, the body is not base64, or a part is missing. The application was not reached.
            self._logger.warning("malformed event", error_type=type(error).__name__)
            return _refusal(
                event,
                Problem(400, "request_malformed", "The request is not valid UTF-8, or its body is not valid base64."),
            )


def handler(event: Any, context: Any) -> Event:
    """Answer one event of API Gateway or another sender. The first event of an environment reads the settings."""
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


def _refusal(event: Any, problem: Problem) -> Event:
    response = problem_response(problem, request_id(event))
    return {
        "statusCode": response.status_code,
        "headers": dict(response.headers),
        "body": bytes(response.body).decode(),
        "isBase64Encoded": False,
    }
