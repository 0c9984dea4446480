"""The OpenAPI document, and the words in which the routes describe themselves beyond their signatures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.problems import PROBLEM_MEDIA_TYPE, ProblemView

Schema = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

_LOCAL_HINT = """\
**On this stack** the demo merchant's key is `secret-api-key`: press *Authorize*, enter it, then *Try it out*.
Send webhooks to the local sink, for example `http://127.0.0.1:8091/ok`, or to a port of your own on 127.0.0.1.
"""

REF = "#/components/schemas/{model}"
# The extension in which responses, and the schema of problems, list the codes that they may carry.
CODES = "x-codes"
FIELD_CODES = "x-field-codes"

TAGS = [
    {"name": "payments", "description": "Create, capture, cancel, read and list payments."},
    {"name": "refunds", "description": "Give money back, and read and list refunds."},
    {"name": "balances", "description": "Read what is available, and the entries of the books that say why."},
    {"name": "payouts", "description": "Order payouts of what is available."},
    {"name": "events", "description": "Read, wait for and stream what happened, without webhooks."},
    {"name": "fraud rules", "description": "Screen payments before they are charged."},
    {"name": "api keys", "description": "Create, rotate and revoke the keys of callers."},
    {"name": "merchants", "description": "For administrators: create, read and change merchants."},
    {"name": "webhooks", "description": "See what was sent to your receivers, and send it again."},
    {"name": "analytics", "description": "The days and months of merchants in figures, as JSON and CSV."},
    {"name": "operations", "description": "For operators: where a payment is, reviews, dead letters, the archive."},
    {"name": "health", "description": "For load balancers and monitoring. Needs no key."},
]
CONTACT = {"name": "Your operator's support. Quote `request_id`."}
LICENSE = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}

_DEFAULT_422_SCHEMAS = ("HTTPValidationError", "ValidationError")
_SECURITY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    "Token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JSON Web Token of your operator's issuer.",
    },
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


def query_parameter(name: str, description: str, schema: Schema) -> dict[str, Any]:
    """Describe a parameter of the query string that may be left out."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def problem(
    description: str, *codes: str, field_codes: Iterable[str] = (), headers: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Describe a problem response by the codes that it may carry, and by those in `errors` besides them."""
    in_errors = f" Codes in `errors` besides these: {_listed(field_codes)}." if field_codes else ""
    return {
        "description": f"{description} Codes: {_listed(codes)}.{in_errors}",
        CODES: [*codes],
        **({FIELD_CODES: [*field_codes]} if field_codes else {}),
        "headers": headers or {},
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}},
    }


def _listed(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


ARCHIVED = problem("The payment is archived. `archive` says where it is.", "payment_archived")
RETRY_AFTER = {"Retry-After": text_header("Seconds to wait before the next attempt.", "1")}
LIMITED = {
    **RETRY_AFTER,
    "RateLimit-Policy": text_header("The limits of the caller: burst and window.", '"key";q=100;w=2'),
    "RateLimit": text_header("What is left of them, and the seconds until all is.", '"key";r=37;t=2'),
}
_CHALLENGE = {"WWW-Authenticate": text_header("How to authenticate.", 'ApiKey realm="paybridge"')}

KEY_OR_TOKEN: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Token": []}]
# What every merchants' operation may answer.
FOR_MERCHANTS: Responses = {
    401: problem(
        "The API key or the token is missing or not valid.",
        *("api_key_missing", "api_key_invalid", "token_invalid"),
        *("basic_not_supported", "bearer_not_supported", "scheme_not_supported"),
        headers=_CHALLENGE,
    ),
    403: problem("The API key does not belong to a merchant.", "role_not_permitted"),
    429: {
        **problem("Too many requests. Nothing was done.", "rate_limited", headers=LIMITED),
        "description": "Too many requests. Nothing was done. Codes: `rate_limited`, with `Retry-After`. API Gateway "
        "may answer before Paybridge sees the request, in plain JSON and without `Retry-After`: wait, then repeat with "
        "a growing delay.",
        "content": {
            PROBLEM_MEDIA_TYPE: {"schema": {"$ref": REF.format(model="Problem")}},
            "application/json": {
                "schema": {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
                "example": {"message": "Too Many Requests"},
            },
        },
    },
    500: problem("Something went wrong on our side.", "internal_error"),
    503: problem("Temporarily unavailable. Retrying is safe.", "service_unavailable", headers=RETRY_AFTER),
}

FOR_STAFF: Responses = {
    **FOR_MERCHANTS,
    403: problem("The caller's role does not permit this.", "role_not_permitted"),
}
PAGE_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "limit",
        "in": "query",
        "description": "The size of a page, 20 if absent.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "The `next_cursor` of the previous page. Empty means the first page.",
        "schema": {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9_-]*$"},
    },
]

# What every page may be refused for, in `errors`.
_PAGE_CODES = ("cursor_invalid", "limit_invalid", "repeated", "text_malformed", "unknown_member")
QUERY_MALFORMED = problem("The request cannot be parsed.", "query_malformed", "header_repeated")


def page_problems(*filter_codes: str) -> Responses:
    """Describe the problems of a page's parameters. `filter_codes` are those of its filters in `errors`."""
    codes = sorted({*_PAGE_CODES, *filter_codes})
    return {
        400: QUERY_MALFORMED,
        422: problem("A parameter breaks a rule.", "validation_failed", "cursor_invalid", field_codes=codes),
    }


def json_answer(model: str, description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe a response whose body is a component of the document."""
    content = {"application/json": {"schema": {"$ref": REF.format(model=model)}}}
    return {"description": description, "headers": headers or {}, "content": content}


def schemas_of(models: Iterable[type[BaseModel]]) -> dict[str, Schema]:
    """Return the schemas of models, and of what they are made of, by their names. FastAPI does not find them."""
    schemas: dict[str, Schema] = {}
    for model in models:
        schema = model.model_json_schema(ref_template=REF)
        schemas |= {name: _plain(found) for name, found in schema.pop("$defs", {}).items()}
        schemas[model.__name__] = _plain(schema)
    return schemas


def _plain(schema: Schema) -> Schema:
    if "properties" not in schema:
        return schema
    properties = {name: without_defaults(member) for name, member in schema["properties"].items()}
    return {**schema, "properties": properties}


def introduction(*, is_local: bool) -> str:
    """Return the Markdown at the top of the document. On the local stack it names the key of the demo merchant."""
    text = files("api").joinpath("introduction.md").read_text(encoding="utf-8")
    return text.replace("\n## States", f"\n{_LOCAL_HINT}\n## States") if is_local else text


def build_document(
    app: FastAPI, schemas: Mapping[str, Schema], webhooks: Mapping[str, Any], *, root_path: str = ""
) -> dict[str, Any]:
    """Build the document. `schemas` are merged by name into those that FastAPI finds: request bodies, examples."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=app.description,
        routes=app.routes,
        tags=TAGS,
        servers=[{"url": root_path or "/", "description": "The address that serves this document."}],
        contact=CONTACT,
        license_info=LICENSE,
    )
    components = document["components"]
    components["securitySchemes"] = _SECURITY_SCHEMES
    components["headers"] = {"X-Correlation-Id": _CORRELATION_HEADER}
    for name, schema in {**_problem_schemas(), **schemas}.items():
        components["schemas"].setdefault(name, {}).update(schema)
    for name in _DEFAULT_422_SCHEMAS:
        components["schemas"].pop(name, None)
    for operation in _operations(document):
        _describe_responses(operation["responses"])
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = without_null(without_defaults(parameter["schema"]))
    _list_codes(document)
    document["webhooks"] = dict(webhooks)
    return document


def without_defaults(schema: Schema) -> Schema:
    """Return the schema without `default`.

    Generators of clients take a member with a default for one that is always there, and demand it in a request.
    """
    return {
        name: without_defaults(value) if isinstance(value, dict) else value
        for name, value in schema.items()
        if name != "default" or isinstance(value, dict)
    }


def without_null(schema: Schema) -> Schema:
    """Return the schema of a parameter without null, which no query string can express."""
    match [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]:
        case [only]:
            return {**{name: value for name, value in schema.items() if name != "anyOf"}, **only}
        case _:
            return schema


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        yield from operations.values()


def _describe_responses(responses: dict[str, Any]) -> None:
    _drop_default_422(responses)
    for response in responses.values():
        response.setdefault("headers", {})["X-Correlation-Id"] = _CORRELATION_REF


def _list_codes(document: dict[str, Any]) -> None:
    # An enum would make clients fail on a code that is added later.
    responses = [response for operation in _operations(document) for response in operation["responses"].values()]
    codes = {code for response in responses for code in response.get(CODES, ())}
    schemas = document["components"]["schemas"]
    schemas["Problem"]["properties"]["code"][CODES] = sorted(codes)
    # What the domain finds wrong with one field is a code of the problem too.
    with_fields = [response for response in responses if FIELD_CODES in response]
    in_errors = {code for response in with_fields for code in (*response[FIELD_CODES], *response[CODES])}
    schemas["FieldError"]["properties"]["code"][CODES] = sorted(in_errors)


def _problem_schemas() -> dict[str, Schema]:
    schema = ProblemView.model_json_schema(ref_template=REF)
    return {**schema.pop("$defs"), "Problem": schema}


def _drop_default_422(responses: dict[str, Any]) -> None:
    # FastAPI documents an error in its shape for every parameter. Ours are problems, and an id that cannot be
    # parsed is a 404.
    if _DEFAULT_422_SCHEMAS[0] in str(responses.get("422")):
        del responses["422"]
