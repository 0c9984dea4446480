"""The permission table and the routes of the API name the same."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from api.guarded_route import GuardedRoute
from api.plain_route import PlainRoute


async def answer() -> None:
    """Answer nothing."""


class TestGuardedRoute:
    @pytest.mark.parametrize("route_class", [GuardedRoute, PlainRoute])
    def test_a_route_without_a_row_cannot_be_built(self, route_class: type[GuardedRoute]) -> None:
        router = APIRouter(route_class=route_class)
        with pytest.raises(KeyError, match="GET /unheard-of"):
            router.get("/unheard-of")(answer)
