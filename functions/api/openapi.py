"""The OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.routes.payments.documentation import EXAMPLE_PAYMENT
from api.routes.payments.schemas import FieldErrorView, PaymentRequest, ProblemView

_REF: Final = "#/components/schemas/{model}"
_DEFAULT_422_SCHEMAS: Final = ("HTTPValidationError", "ValidationError")
_SECURITY_SCHEMES: Final = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A merchant's API key."},
}
_CORRELATION_REF: Final = {"$ref": "#/components/headers/X-Correlation-Id"}
_CORRELATION_HEADER: Final = {
    "description": "The X-Correlation-Id of the request if it had a usable one, else a new one.",
    "schema": {"type": "string"},
}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The document, built on the first call."""
    if app.openapi_schema is None:
        app.openapi_schema = _build(app)
    return app.openapi_schema


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY_SCHEMES
    components["headers"] = {"X-Correlation-Id": _CORRELATION_HEADER}
    components["schemas"] |= {
        "PaymentRequest": PaymentRequest.model_json_schema(ref_template=_REF),
        "FieldError": FieldErrorView.model_json_schema(ref_template=_REF),
        "Problem": _without_definitions(ProblemView.model_json_schema(ref_template=_REF)),
    }
    # FastAPI leaves out nulls from the examples of responses, and these say null where a payment does.
    components["schemas"]["PaymentView"]["examples"] = [EXAMPLE_PAYMENT]
    for operations in document["paths"].values():
        for operation in operations.values():
            _drop_default_422(operation["responses"])
            for response in operation["responses"].values():
                response.setdefault("headers", {})["X-Correlation-Id"] = _CORRELATION_REF
    for name in _DEFAULT_422_SCHEMAS:
        components["schemas"].pop(name, None)
    return document


def _drop_default_422(responses: dict[str, Any]) -> None:
    # FastAPI promises an error of its own shape wherever there is a parameter. Ours are problems, and an id that
    # cannot be read is simply not found.
    if _DEFAULT_422_SCHEMAS[0] in str(responses.get("422")):
        del responses["422"]


def _without_definitions(schema: dict[str, Any]) -> dict[str, Any]:
    # Pydantic nests the definition of FieldError under its Python name; ours is a component beside it.
    schema.pop("$defs", None)
    schema["properties"]["errors"]["items"] = {"$ref": "#/components/schemas/FieldError"}
    return schema
