"""What the demo waits for. The end-to-end tests show what it prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from local.commands import demo
from local.settings import LocalSettings
from local.stack.seed import DEMO_MERCHANT_ID

Answer = Callable[[httpx.Request], httpx.Response]
PAYMENT_ID = "p"
MERCHANT, EVENTS = f"/api/v1/ops/merchants/{DEMO_MERCHANT_ID}", f"/api/v1/payments/{PAYMENT_ID}/events"


class Api:
    """An API that returns the demo merchant, and the timelines in turn, repeating the last."""

    def __init__(self, merchant: dict[str, Any], *timelines: list[dict[str, Any]]) -> None:
        self.asked: list[str] = []
        self._merchant = merchant
        self._timelines = [*timelines]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path == MERCHANT:
            return httpx.Response(200, json=self._merchant)
        assert request.url.path == EVENTS
        return httpx.Response(200, json={"data": self._timelines.pop(0) if self._timelines[1:] else self._timelines[0]})


@pytest.fixture
def visit() -> Iterator[Callable[[Answer], demo.Visit]]:
    with ExitStack() as clients:

        def to(api: Answer) -> demo.Visit:
            merchant = httpx.Client(transport=httpx.MockTransport(api), base_url="http://api")
            onlooker = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(404)))
            return demo.Visit(LocalSettings(), clients.enter_context(merchant), clients.enter_context(onlooker))

        yield to


def notification(type_: str) -> dict[str, Any]:
    details = {"notification_id": "n", "event_type": "refund.succeeded", "channel": "email", "contact": "a@b.example"}
    return {
        "type": f"notification.{type_}",
        "details": {**details, "pattern": "refund.*", "provider_message_id": "m"},
    }


class TestShowNotifications:
    def test_waits_for_those_that_the_demo_merchant_chose(
        self, visit: Callable[[Answer], demo.Visit], capsys: pytest.CaptureFixture[str]
    ) -> None:
        sent = [notification("scheduled"), notification("sent")]
        api = Api({"email": "a@b.example", "phone": None, "notify": ["refund.*"]}, [], sent[:1], sent)
        demo._show_notifications(visit(api), PAYMENT_ID)
        assert api.asked == [MERCHANT, EVENTS, EVENTS, EVENTS]
        assert capsys.readouterr().out.endswith("  ✓ e-mail to a@b.example, chosen by refund.*\n")

    def test_waits_for_none_where_it_chose_none(
        self, visit: Callable[[Answer], demo.Visit], capsys: pytest.CaptureFixture[str]
    ) -> None:
        api = Api({"email": "a@b.example", "phone": None, "notify": []}, [])
        demo._show_notifications(visit(api), PAYMENT_ID)
        assert api.asked == [MERCHANT]
        assert capsys.readouterr().out == ""
