"""The OpenAPI document describes every route of the app, but for a few that are named here."""

from __future__ import annotations

from aws_lambda_powertools import Logger
from fastapi.routing import APIRoute

from api.app import create_app
from local.testkit.api import api_services
from paybridge.database.database import Database
from tests.support.openapi import Contract

# What the document leaves out, and why.
EXCEPTIONS = {
    ("GET", "/"): "leads people to the documentation",
    ("GET", "/docs"): "shows the document to people",
    ("GET", "/docs/start.js"): "is part of that page",
    ("GET", "/docs/{name}"): "is part of that page",
    ("GET", "/openapi.json"): "is the document",
    ("GET", "/metrics"): "answers Prometheus in the format of Prometheus",
    ("POST", "/api/v1/gateways/{name}/notices"): "takes what a gateway sends, in the format of that gateway",
}


def served(database: Database) -> set[tuple[str, str]]:
    """Every (method, path template) that the app answers."""
    app = create_app(api_services(database), Logger(service="api", level="CRITICAL"))
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(app.routes)
    return {(method, route.path) for route in routes for method in route.methods}


def test_the_document_describes_every_route_but_the_exceptions(contract: Contract, database: Database) -> None:
    assert served(database) - contract.operations() == EXCEPTIONS.keys()
    assert contract.operations() <= served(database)
