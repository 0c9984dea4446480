"""The OpenAPI document and Swagger UI, both served by this function and not by a CDN."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import orjson
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from api.context import public_path
from api.guarded_route import GuardedRoute
from api.problems import not_found

# The package ships a current Swagger UI as plain files. Its Python code is not used.
_ASSETS_PACKAGE = "fastapi_offline"
_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon.png": "image/png",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Paybridge API</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(include_in_schema=False, route_class=GuardedRoute)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Return the OpenAPI document."""
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


@router.get("/")
async def root(request: Request) -> Response:
    """Lead people to the documentation."""
    return RedirectResponse(public_path(request, "/docs"))


@router.get("/docs")
async def docs() -> Response:
    """Return the page of Swagger UI."""
    return Response(_PAGE, media_type="text/html", headers=_SECURITY)


@router.get("/docs/start.js")
async def start() -> Response:
    """Return the script that starts Swagger UI. It is a separate file, so that the page needs no inline script."""
    script = files(__package__).joinpath("start.js").read_bytes()
    return Response(script, media_type="text/javascript", headers=_SECURITY)


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    """Return one file of Swagger UI."""
    media_type = _MEDIA_TYPES.get(name)
    if media_type is None:
        raise not_found()
    headers = {"Cache-Control": "public, max-age=86400", **_SECURITY}
    return Response(_read(name), media_type=media_type, headers=headers)


@cache
def _read(name: str) -> bytes:
    return files(_ASSETS_PACKAGE).joinpath("static", name).read_bytes()
