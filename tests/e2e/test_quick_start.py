"""The quick start in each language at a running stack: it pays once, refunds once, and receives what happened."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from local.stack.stack import Stack
from local.testkit.live import charges, eventually
from tests.support import quick_start
from tests.support.lossy_api import lossy_api
from tests.support.quick_start import Programs

pytestmark = pytest.mark.e2e

PRINTED = re.compile(r"payment (\S+) succeeded ?\nrefund (\S+) succeeded ?\n")
EVENTS = {"payment.succeeded", "refund.created", "refund.succeeded", "payment.partially_refunded"}


@pytest.fixture(scope="module", params=quick_start.TOOLS)
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return quick_start.prepare(request.param, tmp_path_factory.mktemp(request.param))


def gateway_kinds(stack: Stack, payment_id: str) -> list[str]:
    """What the gateway did for a payment."""
    answer = httpx.get(f"{stack.urls.gateway}/charges", params={"reference": payment_id}, trust_env=False, timeout=20)
    return [record["kind"] for record in answer.raise_for_status().json()]


def test_pays_and_refunds_once_although_answers_are_lost(stack: Stack, programs: Programs) -> None:
    with lossy_api(stack.urls.api) as api:
        ran = programs.pay(PAYBRIDGE_URL=api.url, WEBHOOK_URL=f"{stack.urls.sink}/ok")
    assert ran.returncode == 0, ran.stderr
    printed = PRINTED.fullmatch(ran.stdout)
    assert printed, ran.stdout
    payment_id = printed[1]
    # Each of the two was sent three times, in the same words and with the same key.
    assert len(api.posts) == 6
    assert len(set(api.posts)) == 2
    assert all(key for _, key, _ in api.posts)
    assert api.replayed == 2
    assert len(charges(stack.urls.gateway, payment_id)) == 1
    assert sorted(gateway_kinds(stack, payment_id)) == ["charge", "refund"]


def test_does_not_repeat_what_is_refused(stack: Stack, programs: Programs) -> None:
    with lossy_api(stack.urls.api) as api:
        ran = programs.pay(PAYBRIDGE_URL=api.url, PAYBRIDGE_API_KEY="no-such-key")
    assert ran.returncode != 0
    assert "api_key_invalid" in ran.stderr
    # The first answer was lost, the second was a 503, and the third said no.
    assert len(api.posts) == 3


def test_receives_what_happened(stack: Stack, programs: Programs, tmp_path: Path) -> None:
    # There is no receiver in curl, so that of Python stands in for it.
    receiving = programs if programs.language in quick_start.RECEIVING else Programs("python", tmp_path)
    output = tmp_path / "output.txt"
    with receiving.receiving(output) as url:
        ran = programs.pay(PAYBRIDGE_URL=stack.urls.api, WEBHOOK_URL=url)
        assert ran.returncode == 0, ran.stderr

        def received() -> set[tuple[str, str]]:
            lines = [line.split() for line in output.read_text(encoding="utf-8").splitlines()]
            return {(type_, id_) for type_, id_, _ in lines} if len(lines) >= len(EVENTS) else set()

        events = eventually(received, "a webhook of each type")
    printed = PRINTED.fullmatch(ran.stdout)
    assert printed, ran.stdout
    payment_id, refund_id = printed.groups()
    assert events == {(type_, refund_id if type_.startswith("refund") else payment_id) for type_ in EVENTS}
