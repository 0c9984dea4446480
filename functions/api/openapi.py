"""The OpenAPI document, and the words in which the routes describe themselves beyond their signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import PROBLEM_MEDIA_TYPE, ProblemView

Schema = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

REF = "#/components/schemas/{model}"

_DEFAULT_422_SCHEMAS = ("HTTPValidationError", "ValidationError")
_SECURITY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A merchant's API key."},
}
_CORRELATION_REF = {"$ref": "#/components/headers/X-Correlation-Id"}
_CORRELATION_HEADER = {
    "description": "The X-Correlation-Id or X-Request-Id of the request if it is usable, otherwise a new id.",
    "schema": {"type": "string"},
}


def text_header(description: str, example: str) -> dict[str, Any]:
    """Describe a response header."""
    return {"description": description, "schema": {"type": "string"}, "example": example}


def header_parameter(name: str, description: str, *, required: bool, schema: Schema) -> dict[str, Any]:
    """Describe a request header."""
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


def problem(description: str, *codes: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe a problem response by the codes that it may carry."""
    codes_text = ", ".join(f"`{code}`" for code in codes)
    return {
        "description": f"{description} Codes: {codes_text}.",
        "headers": headers or {},
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}},
    }


RETRY_AFTER = {"Retry-After": text_header("Seconds to wait before the next attempt.", "1")}
_CHALLENGE = {"WWW-Authenticate": text_header("How to authenticate.", 'ApiKey realm="paybridge"')}

API_KEY_ONLY: list[dict[str, list[str]]] = [{"ApiKey": []}]
# What every merchants' operation may answer.
FOR_MERCHANTS: Responses = {
    401: problem(
        "The API key is missing or not valid.",
        *("api_key_missing", "api_key_invalid", "bearer_not_supported"),
        headers=_CHALLENGE,
    ),
    403: problem("The API key does not belong to a merchant.", "role_not_permitted"),
    500: problem("Something went wrong on our side.", "internal_error"),
    503: problem("Temporarily unavailable. Retrying is safe.", "service_unavailable", headers=RETRY_AFTER),
}


def build_document(app: FastAPI, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Build the document. `schemas` are merged by name into those that FastAPI finds: request bodies, examples."""
    document = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", description=app.description, routes=app.routes
    )
    components = document["components"]
    components["securitySchemes"] = _SECURITY_SCHEMES
    components["headers"] = {"X-Correlation-Id": _CORRELATION_HEADER}
    for name, schema in {**_problem_schemas(), **schemas}.items():
        components["schemas"].setdefault(name, {}).update(schema)
    for operations in document["paths"].values():
        for operation in operations.values():
            _drop_default_422(operation["responses"])
            for response in operation["responses"].values():
                response.setdefault("headers", {})["X-Correlation-Id"] = _CORRELATION_REF
    for name in _DEFAULT_422_SCHEMAS:
        components["schemas"].pop(name, None)
    return document


def _problem_schemas() -> dict[str, Schema]:
    schema = ProblemView.model_json_schema(ref_template=REF)
    return {**schema.pop("$defs"), "Problem": schema}


def _drop_default_422(responses: dict[str, Any]) -> None:
    # FastAPI documents an error in its shape for every parameter. Ours are problems, and an id that cannot be
    # parsed is a 404.
    if _DEFAULT_422_SCHEMAS[0] in str(responses.get("422")):
        del responses["422"]
