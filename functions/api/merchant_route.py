"""A route for merchants: the key is checked before anything else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.context import authenticate_merchant


class MerchantRoute(APIRoute):
    """A route that authenticates the merchant before FastAPI reads the parameters.

    FastAPI would validate them first, and a caller without a key would learn what is wrong with a query.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler behind the check of the key."""
        handle = super().get_route_handler()

        async def authenticated(request: Request) -> Response:
            authenticate_merchant(request)
            return await handle(request)

        return authenticated
