"""The settings for an API like Stripe's, at a simulated Stripe."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from examples.conformance.cli import BROKEN, main
from local.settings import PROJECT
from local.testkit.stripe.server import API_KEY, fake_stripe_in_a_thread

SETTINGS = PROJECT / "examples/conformance/payment-intents.toml"


def test_the_suite_names_what_stripe_does_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "settings.toml"
    # The documentation is on the internet.
    config.write_text(re.sub(r"^\[documentation\]\n.*\n", "", SETTINGS.read_text(), flags=re.MULTILINE))
    with fake_stripe_in_a_thread() as stripe:
        assert main([stripe.url, "--key", API_KEY, "--config", str(config), "--json"]) == BROKEN
    rules = json.loads(capsys.readouterr().out)["rules"]
    assert [rule["id"] for rule in rules if rule["verdict"] == "broken"] == ["reused-key-422", "reused-key-link"]
    assert sum(rule["verdict"] == "kept" for rule in rules) >= 10
