"""Read the JSON object of a request into a model."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.requests import Request

from api.problems import validation_failed
from api.request.headers import single_header
from api.request.json_body import check_content_type, parse_object
from api.request.query import check_query_string
from paybridge.core.fields import validate

Model = TypeVar("Model", bound=BaseModel)


async def read_model(request: Request, model: type[Model]) -> Model:
    """Return the model of the body, which may be empty. Raises Problem (400, 413, 415, 422)."""
    headers = request.headers
    check_content_type(single_header(headers, "Content-Type"), headers.get("content-encoding"))
    raw = await request.body()
    body, faults = validate(model, parse_object(raw) if raw else {})
    if body is None:
        raise validation_failed(faults)
    return body


def read_query(request: Request, model: type[Model]) -> Model:
    """Return the model of the query string. Raises Problem (400, 422)."""
    raw_query = request.scope["query_string"]
    check_query_string(raw_query)
    query, faults = validate(model, dict(parse_qsl(raw_query.decode("ascii"), keep_blank_values=True)))
    if query is None:
        raise validation_failed(faults)
    return query
