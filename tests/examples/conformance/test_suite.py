"""The suite names the one rule that a server breaks, whichever it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from examples.conformance.rules import RULES, Verdict
from examples.conformance.settings import Settings, load
from examples.conformance.suite import opened, run
from tests.support.idempotent_server import SETTINGS, IdempotentServer, serving

# What the draft allows, and what settings leave out: the habit of the server, the settings, and the rules that then do
# not apply.
ALLOWED: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "keys are optional": (
        "optional-key",
        {"keys": {"required": False}},
        {"key-required", "key-required-link", "repeated-header"},
    ),
    "bytes are compared": ("bytes-compared", {}, {"same-members"}),
    "failed requests keep their keys": ("failed-keys-kept", {}, {"corrected-request"}),
    "errors are plain JSON": ("plain-errors", {}, {"problem-details"}),
    "retries wait": ("waits", {}, {"in-flight-409", "in-flight-described", "in-flight-retry"}),
    "one caller": ("", {"callers": {}}, {"other-caller"}),
    "one caller twice": ("", {"callers": {"other_key": "one"}}, {"other-caller"}),
    "a second caller without access": ("", {"callers": {"other_key": "three"}}, {"other-caller"}),
    "no documentation": (
        "",
        {"documentation": {}},
        {"specification-published", "expiry-documented", "key-format-documented"},
    ),
    "keys without escapes": ("", {"keys": {"escapes": False}}, {"escaped-key"}),
    "no invalid request": (
        "",
        {"request": {**SETTINGS["request"], "invalid": {}}},
        {"failed-retry", "corrected-request"},
    ),
    "an invalid request that is valid": (
        "",
        {"request": {**SETTINGS["request"], "invalid": {"amount": "3.00"}}},
        {"failed-retry", "corrected-request"},
    ),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_with(tmp_path, {})


def settings_with(folder: Path, changes: dict[str, Any]) -> Settings:
    file = folder / "things.json"
    file.write_text(json.dumps({**SETTINGS, **changes}))
    return load(file)


def verdicts(server: IdempotentServer, settings: Settings) -> dict[str, Verdict]:
    with opened(server.url, "one", settings) as api:
        return {rule.id: finding.verdict for rule, finding in run(api)}


def those(found: dict[str, Verdict], verdict: Verdict) -> list[str]:
    return [rule_id for rule_id, one in found.items() if one is verdict]


class TestRun:
    def test_a_server_that_keeps_every_rule_is_said_to_keep_every_rule(self, settings: Settings) -> None:
        with serving() as server:
            assert verdicts(server, settings) == {rule.id: Verdict.KEPT for rule in RULES}

    @pytest.mark.parametrize("rule_id", [rule.id for rule in RULES])
    def test_a_server_that_breaks_one_rule_is_said_to_break_that_one(self, settings: Settings, rule_id: str) -> None:
        with serving(rule_id) as server:
            assert those(verdicts(server, settings), Verdict.BROKEN) == [rule_id]

    @pytest.mark.parametrize("name", ALLOWED)
    def test_what_the_draft_allows_breaks_no_rule(self, tmp_path: Path, name: str) -> None:
        habit, changes, rule_ids = ALLOWED[name]
        with serving(habit) as server:
            found = verdicts(server, settings_with(tmp_path, changes))
        assert those(found, Verdict.BROKEN) == []
        assert set(those(found, Verdict.NOT_APPLICABLE)) == rule_ids

    def test_without_a_list_resources_are_counted_by_their_ids(self, tmp_path: Path) -> None:
        with serving() as server:
            assert those(verdicts(server, settings_with(tmp_path, {"resource": {}})), Verdict.BROKEN) == []
        with serving("concurrent-one-resource") as server:
            found = verdicts(server, settings_with(tmp_path, {"resource": {}}))
        assert those(found, Verdict.BROKEN) == ["concurrent-one-resource"]

    def test_an_api_that_ignores_keys_breaks_what_follows_from_that(self, tmp_path: Path) -> None:
        with serving("keys-ignored") as server:
            found = verdicts(server, settings_with(tmp_path, {}))
        assert {"retry-one-resource", "retry-same-answer", "reused-key-fails", "concurrent-one-resource"} <= {
            *those(found, Verdict.BROKEN)
        }
        assert found["new-key"] is Verdict.KEPT
