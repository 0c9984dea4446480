"""The API killed with SIGKILL while clients follow events: they go on without a gap and see nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from local.stack.seed import DEMO_API_KEY
from local.stack.stack import Stack
from local.testkit.live import Merchant, eventually
from paybridge.core.events import PAYMENT_SUCCEEDED
from tests.support.event_streams import CHROMIUM, Seen, browser, python_client
from tests.support.faults import environments, kill_environments, kill_host

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

KILLS = 3
PAYMENTS_BETWEEN = 3


def pay(demo: Merchant) -> set[str]:
    return {demo.pay() for _ in range(PAYMENTS_BETWEEN)}


def recorded(stack: Stack, payment_ids: set[str]) -> list[str]:
    """The ids of the events of these payments, as the feed lists them one page at a time."""
    ids: list[str] = []
    page = {"has_more": True, "next_cursor": ""}
    with httpx.Client(trust_env=False, timeout=40, headers={"X-API-Key": DEMO_API_KEY}) as client:
        while page["has_more"]:
            query = {"after": page["next_cursor"], "limit": "100"}
            page = client.get(f"{stack.urls.api}/api/v1/events", params=query).raise_for_status().json()
            ids += [one["event_id"] for one in page["data"] if one["data"].get("payment_id") in payment_ids]
    return ids


def follow_through_kills(
    stack: Stack, demo: Merchant, client: Callable[[str, dict[str, str]], AbstractContextManager[Seen]]
) -> None:
    query = {"created_from": datetime.now(UTC).isoformat()}
    payment_ids = pay(demo)
    with client(f"{stack.urls.api}/api/v1/events/stream", query) as seen:
        eventually(lambda: seen.of(payment_ids), "the first event")
        for _ in range(KILLS):
            payment_ids |= pay(demo)
            # A stream waits at the API most of the time, and so does this one now.
            time.sleep(0.5)
            assert kill_environments(stack, "api") > 0
            payment_ids |= pay(demo)
        kill_host(stack)
        stack.start_functions()
        payment_ids |= pay(demo)

        def is_complete() -> bool:
            done = [event for _, event in seen.events if event["type"] == PAYMENT_SUCCEEDED]
            return payment_ids <= {event["data"]["payment_id"] for event in done}

        eventually(is_complete, "every payment's last event", 60)
        # Whatever came twice would come now.
        time.sleep(1)
        seen.ended.set()
        # It ends the answer that is waited for.
        demo.pay()
    assert seen.errors > 0
    assert seen.of(payment_ids) == recorded(stack, payment_ids)
    assert [id_ for id_, _ in seen.events] == [event["event_id"] for _, event in seen.events]
    assert environments(stack, "api")


def test_a_python_client_goes_on_without_gap_or_double(stack: Stack, demo: Merchant) -> None:
    follow_through_kills(stack, demo, lambda url, query: python_client(url, DEMO_API_KEY, query))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH")
def test_a_browsers_event_source_goes_on_without_gap_or_double(stack: Stack, demo: Merchant, tmp_path: Path) -> None:
    follow_through_kills(stack, demo, lambda url, query: browser(url, DEMO_API_KEY, query, tmp_path))
