"""Which gateways are there, by the settings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from local.settings import PYTHON_PATH
from paybridge import wiring
from paybridge.payments.gateways.stripe import StripeGateway
from paybridge.wiring import notices, payments
from paybridge.wiring.payments import LEASE_MARGIN_SECONDS, STRIPE_LEASE_MARGIN_SECONDS
from paybridge.wiring.settings import Settings

# Reads no secret and opens no connection, so nothing needs to be there.
SCRIPT = (
    "import sys; from consumer import handler; from paybridge.wiring import payments; payments.gateways(); print(%s)"
)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The variables of an environment that has made nothing yet."""
    variables = {"GATEWAY_URL": "http://127.0.0.1:1", "GATEWAY_TIMEOUT_SECONDS": "6"}
    monkeypatch.setattr(wiring, "environment", lambda: Settings(variables))
    kept: list[Any] = [payments.gateway, payments.stripe_gateway, notices.notice_readers]
    for made in kept:
        made.cache_clear()
    yield variables
    for made in kept:
        made.cache_clear()


def test_without_a_secret_there_is_no_stripe(settings: dict[str, str]) -> None:
    assert payments.gateways().keys() == {"default"}
    assert notices.notice_readers() == {}


def test_with_a_secret_there_is(settings: dict[str, str]) -> None:
    settings |= {"STRIPE_SECRET_ID": "stripe", "GATEWAY_NOTICES_SECRET_ID": "notices"}
    known = payments.gateways()
    assert known.keys() == {"default", "stripe"}
    assert isinstance(known["stripe"], StripeGateway)
    assert notices.notice_readers().keys() == {"default", "stripe"}


def test_look_ups_at_stripe_lengthen_the_lease(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "database", lambda: None)
    assert payments.engine_services().lease_seconds == 6 + LEASE_MARGIN_SECONDS
    payments.stripe_gateway.cache_clear()
    settings["STRIPE_SECRET_ID"] = "stripe"
    assert payments.engine_services().lease_seconds == 6 + STRIPE_LEASE_MARGIN_SECONDS


@pytest.mark.parametrize(("secret_id", "is_imported"), [("", False), ("stripe", True)])
def test_a_cold_start_without_stripe_does_not_pay_for_its_client(secret_id: str, is_imported: bool) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH)),
        "GATEWAY_URL": "http://127.0.0.1:1",
        "STRIPE_SECRET_ID": secret_id,
    }
    script = SCRIPT % "'httpx' in sys.modules, 'paybridge.payments.gateways.stripe' in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"{is_imported}", f"{is_imported}"]
