"""The AsyncAPI document is that of the topology and of what is published, and tools accept it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from infra.asyncapi_page import PAGE, TOPOLOGY, document
from local.settings import PROJECT
from paybridge.core.events import INTERNAL_TYPES, PUBLIC_TYPES, Event
from paybridge.outbox.routes import EVENTS_EXCHANGE, route
from tests.contracts.test_event_schemas import payment_events

RULES = Path(__file__).parent / "openapi_tools/asyncapi.yaml"
ENVIRONMENT = PROJECT / ".venv-openapi"
WRITTEN = json.loads(PAGE.read_text(encoding="utf-8"))
TOPOLOGY_FILE = json.loads(TOPOLOGY.read_text(encoding="utf-8"))


def linted(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Lint a document."""
    (folder / "asyncapi.json").write_text(text)
    shutil.copy(RULES, folder)
    return subprocess.run(
        [
            *(str(ENVIRONMENT / "node_modules/.bin/spectral"), "lint", "asyncapi.json"),
            *("--ruleset", "asyncapi.yaml", "--fail-severity", "hint"),
        ],
        cwd=folder,
        env={"HOME": str(folder), "PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def payload_of(type_: str) -> Draft202012Validator:
    """The validator of a message's payload."""
    text = json.dumps(
        {**WRITTEN["components"]["messages"][type_]["payload"], "$defs": WRITTEN["components"]["schemas"]}
    )
    schema = json.loads(text.replace("#/components/schemas/", "#/$defs/"))
    return Draft202012Validator(schema, format_checker=FormatChecker())


class TestDocument:
    def test_is_that_of_the_topology(self) -> None:
        assert document(TOPOLOGY_FILE) == WRITTEN, "run `make asyncapi-docs`"

    def test_every_queue_is_a_channel(self) -> None:
        queues = {queue["name"] for queue in TOPOLOGY_FILE["queues"]}
        assert set(WRITTEN["channels"]) == {EVENTS_EXCHANGE, *queues}

    def test_every_published_type_is_a_message_of_the_exchange(self) -> None:
        published = {type_ for type_ in (*PUBLIC_TYPES, *INTERNAL_TYPES) if route(type_)[0] == EVENTS_EXCHANGE}
        assert published == set(WRITTEN["channels"][EVENTS_EXCHANGE]["messages"])

    def test_a_queue_holds_what_its_bindings_bring(self) -> None:
        held = {name: set(channel["messages"]) for name, channel in WRITTEN["channels"].items()}
        assert held["payments.new"] == {"payment.created", "command.process_payment", "command.find_late_charge"}
        assert {"payment.succeeded", "refund.failed", "command.deliver_webhook"} <= held["webhooks"]
        assert held["payments.intake"] == {"PaymentInitiated"}
        assert held["webhooks.retry"] == {"command.deliver_webhook"}

    @pytest.mark.slow
    def test_a_linter_finds_nothing(self, openapi_environment: None, tmp_path: Path) -> None:
        done = linted(tmp_path, PAGE.read_text(encoding="utf-8"))
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.slow
    def test_a_linter_would_find_a_fault(self, openapi_environment: None, tmp_path: Path) -> None:
        broken: dict[str, Any] = {**WRITTEN, "channels": {"x": {"messages": {"y": {"$ref": "#/nowhere"}}}}}
        assert linted(tmp_path, json.dumps(broken)).returncode != 0


class TestMessages:
    @given(payment_events())
    def test_what_is_published_fits(self, event: Event) -> None:
        assume(event.type in WRITTEN["components"]["messages"])
        payload_of(event.type).validate(event.envelope())

    @given(payment_events())
    def test_a_message_without_a_member_does_not(self, event: Event) -> None:
        assume(event.type in WRITTEN["components"]["messages"])
        envelope = event.envelope()
        envelope["data"] = {name: value for name, value in envelope["data"].items() if name != "amount"}
        assert not payload_of(event.type).is_valid(envelope)
