"""A route behind the permission table: the caller is checked before anything else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.archived import read_only_or
from api.context import authorize
from paybridge.access.permissions import PERMISSIONS, Permission
from paybridge.core.errors import ConstraintViolated


class GuardedRoute(APIRoute):
    """A route that finds the caller and checks its role before FastAPI reads the parameters.

    FastAPI would validate them first, and a caller without a key would learn what is wrong with a query. Building a
    route without a row in the table raises KeyError.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler behind the check."""
        handle = super().get_route_handler()
        permission = self.permission()
        if permission.is_public:
            return handle

        async def guarded(request: Request) -> Response:
            authorize(request, permission)
            try:
                return await handle(request)
            except ConstraintViolated as error:
                raise read_only_or(request, error) from error

        return guarded

    def permission(self) -> Permission:
        """Return the route's row in the permission table. Raises KeyError if there is none."""
        return PERMISSIONS[f"{' '.join(self.methods or ())} {self.path}"]
