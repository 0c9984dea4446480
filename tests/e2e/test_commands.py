"""`make local` as a newcomer meets it, beside a running stack: timeline, logs, Ctrl-C, a taken port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local.commands import demo
from local.servers import postgres
from local.servers.processes import accepts_connections, is_alive, running
from local.settings import PROJECT, PYTHON_PATH, VARIABLES, LocalSettings
from local.stack.seed import DEMO_API_KEY
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.servers import private_settings
from tests.support.foreground import TIMELINE, foreground

pytestmark = pytest.mark.e2e

START_SECONDS_MAX = 90


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    """Settings of a second stack, with the gateway's usual patience."""
    own = private_settings(tmp_path / "state")
    yield own
    postgres.remove_data(own)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_a_second_stack_runs_beside_the_first_and_ctrl_c_ends_all_of_it(stack: Stack, settings: LocalSettings) -> None:
    with foreground(settings, "run") as command:
        command.until_it_may_be_stopped(START_SECONDS_MAX)
        assert command.timeline() == TIMELINE
        # The first one works as before while the second runs, and neither knows the other's payments.
        demo.run(stack.settings)
        demo.run(settings)
        live.eventually(lambda: command.prints("payment succeeded"), "the payment in the logs")
        assert [line for line in command.lines if line.startswith("{") or "_aws" in line] == []
        started = family(command.process)
        assert len(started) > len(running(settings.state_dir)) >= 7
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 0
        assert command.errors == []
        assert [process for process in started if is_alive(process)] == []
        assert running(settings.state_dir) == {}
        assert not any(map(accepts_connections, ports(settings)))
    demo.run(stack.settings)
    assert stack.processes.dead() == []


def test_the_logs_are_a_line_an_event_for_a_person(stack: Stack) -> None:
    with foreground(stack.settings, "logs") as command:
        live.eventually(lambda: command.lines, "the lines before")
        demo.run(stack.settings)
        for event in ("POST /api/v1/payments 202", "payment succeeded", "webhook delivered"):
            live.eventually(lambda event=event: command.prints(event), event)
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
    assert [line for line in command.lines if line.startswith("{") or "_aws" in line] == []


def test_the_reader_of_the_logs_may_leave(stack: Stack) -> None:
    command = f"{sys.executable} -m local logs | head -1"
    environment = {**os.environ, **stack.settings.environment()}
    with subprocess.Popen(
        ["sh", "-c", command], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:

        def has_ended() -> bool:
            # The command notices that its reader has left when it writes another line.
            demo.run(stack.settings)
            return process.poll() is not None

        live.eventually(has_ended, "the end of the command", 60)
        output, errors = process.communicate(timeout=30)
    assert len(output.splitlines()) == 1
    assert errors == ""


def test_the_logs_are_json_on_request(stack: Stack) -> None:
    with foreground(replace(stack.settings, log_format="json"), "logs") as command:
        live.eventually(lambda: command.lines, "the lines before")
        demo.run(stack.settings)
        live.eventually(lambda: command.prints("processed payments"), "the payment in the logs")
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
    records = [json.loads(line) for line in command.lines]
    assert all(isinstance(record, dict) for record in records)


def environment_of(settings: LocalSettings) -> dict[str, str]:
    """Return the variables of a command that is told nothing but the stack's folder."""
    ours = set(VARIABLES.values()) | {"ENVIRONMENT"}
    others = {name: value for name, value in os.environ.items() if name not in ours}
    state_dir, path = str(settings.state_dir), os.pathsep.join(map(str, PYTHON_PATH))
    return {**others, "PAYBRIDGE_LOCAL_STATE_DIR": state_dir, "PYTHONPATH": path}


def paybridge(settings: LocalSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the operator's command."""
    return subprocess.run(
        [sys.executable, "-m", "local.commands.operator", *arguments],
        cwd=PROJECT,
        env=environment_of(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_operators_command_works_on_the_running_stack(stack: Stack) -> None:
    registered = paybridge(stack.settings, "register", "Acme")
    assert (registered.returncode, registered.stderr) == (0, "")
    key = next(line.split()[-1] for line in registered.stdout.splitlines() if line.startswith("API key"))
    with live.merchant(stack, key) as acme:
        payment_id = acme.pay()
        assert acme.settled(payment_id)["status"] == "succeeded"
    shown = paybridge(stack.settings, "payment", payment_id)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"{payment_id}  100.50 RUB  succeeded\n")


def test_its_keys_and_tokens_are_good_at_the_api(stack: Stack) -> None:
    def status(**headers: str) -> int:
        listed = httpx.get(f"{stack.urls.api}/api/v1/ops/api-keys", headers=headers, trust_env=False, timeout=30)
        return listed.status_code

    created = json.loads(paybridge(stack.settings, "keys", "create", "--role", "auditor", "--json").stdout)
    key = {"X-API-Key": created["api_key"]}
    assert status(**key) == httpx.codes.OK
    assert paybridge(stack.settings, "keys", "revoke", created["key_id"]).returncode == 0
    # Each environment of the API keeps what it knows of a key for 4 seconds.
    live.eventually(lambda: status(**key) == httpx.codes.UNAUTHORIZED, "the end of the key", 30)

    for role, answer in (("auditor", httpx.codes.OK), ("merchant", httpx.codes.FORBIDDEN)):
        token = paybridge(stack.settings, "token", "--role", role).stdout.strip()
        assert status(Authorization=f"Bearer {token}") == answer


def test_it_follows_events_until_ctrl_c(stack: Stack) -> None:
    """From an event on, so that the test does not depend on when the command has started."""
    with live.merchant(stack, DEMO_API_KEY) as shop:
        before, after = shop.pay(), shop.pay()
    mine = ("--payment", before, "--json")
    listed = live.eventually(
        lambda: json.loads(paybridge(stack.settings, "events", "list", *mine).stdout)["data"], "the first event"
    )
    command = ["events", "follow", "--after", listed[0]["event_id"], "--payment", after, "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "local.commands.operator", *command],
        cwd=PROJECT,
        env=environment_of(stack.settings),
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        events = [json.loads(following.stdout.readline()) for _ in range(3)]
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 0
    assert [event["type"] for event in events] == ["payment.created", "payment.processing", "payment.succeeded"]
    assert {event["subject"]["id"] for event in events} == {after}


def ports(settings: LocalSettings) -> list[int]:
    return [settings.api_port, settings.amqp_port, settings.postgres_port, settings.gateway_port, settings.sink_port]


@pytest.mark.parametrize("milestone", ["AWS fake", "schema migrated"])
def test_ctrl_c_during_the_start_leaves_nothing_running(settings: LocalSettings, milestone: str) -> None:
    with foreground(settings, "run") as command:
        live.eventually(lambda: command.prints(milestone), milestone, START_SECONDS_MAX)
        started = family(command.process)
        assert started
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
        assert command.errors == []
        assert [process for process in started if is_alive(process)] == []


@pytest.mark.parametrize(
    ("port", "variable"),
    [("api_port", "PAYBRIDGE_API_PORT"), ("postgres_port", "PAYBRIDGE_LOCAL_POSTGRES_PORT")],
)
def test_a_taken_port_is_one_sentence_that_names_its_variable(
    settings: LocalSettings, port: str, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", getattr(settings, port))), foreground(settings, "run") as command:
        assert command.wait() == 1
        (sentence,) = command.errors
        assert variable in sentence
        assert str(getattr(settings, port)) in sentence
        assert running(settings.state_dir) == {}


def test_a_start_clears_away_what_a_killed_supervisor_left(settings: LocalSettings) -> None:
    with foreground(settings, "run") as killed:
        live.eventually(lambda: killed.prints("topology declared"), "the servers", START_SECONDS_MAX)
        left = family(killed.process)
        killed.process.kill()
        killed.wait()
        assert any(map(is_alive, left))
        with foreground(settings, "servers") as command:
            live.eventually(lambda: command.prints("Ready"), "the servers again", START_SECONDS_MAX)
            assert [process for process in left if is_alive(process)] == []
            command.process.send_signal(signal.SIGINT)
            assert command.wait() == 130
        assert running(settings.state_dir) == {}


def test_a_day_agrees_until_the_gateway_charges_by_itself(stack: Stack) -> None:
    with live.merchant(stack, DEMO_API_KEY) as demo:
        payment_id = demo.pay()
        assert demo.settled(payment_id)["status"] == "succeeded"
    day = live.charges(stack.urls.gateway, payment_id)[0]["created_at"][:10]
    agreed = reconciled(stack, day)
    assert [each for each in agreed if each["payment_id"] == payment_id] == []

    reference = f"dashboard-{uuid.uuid4()}"
    order = {"reference": reference, "amount_minor": 4_200, "currency": "EUR", "payment_method": "tok_success"}
    url = f"{stack.urls.gateway}/charges"
    planted = httpx.post(url, json=order, headers={"Idempotency-Key": reference}, trust_env=False, timeout=30).json()
    day = planted["created_at"][:10]
    (found,) = of_line(reconciled(stack, day), planted["id"])
    assert (found["type"], found["state"], found["difference"]) == ("missing_here", "open", {"EUR": "42.00"})
    # A second pass over the day changes nothing.
    (again,) = of_line(reconciled(stack, day), planted["id"])
    assert {**again, "age_seconds": None} == {**found, "age_seconds": None}
    assert paybridge(stack.settings, "reconcile", "void", found["break_id"], "--note", "Planted.").returncode == 0


def reconciled(stack: Stack, day: str) -> list[dict[str, Any]]:
    """Compare the day to the end, and return its breaks. Operations of other tests may have to settle first."""

    def ended() -> dict[str, Any] | None:
        done = paybridge(stack.settings, "reconcile", "run", "--date", day, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        view: dict[str, Any] = json.loads(done.stdout)
        return view if view["state"] == "finished" else None

    view = live.eventually(ended, "the end of the reconciliation", 120)
    assert view["unexplained"] == {}
    listed = paybridge(stack.settings, "reconcile", "breaks", day, "--json", "--limit", "100")
    data: list[dict[str, Any]] = json.loads(listed.stdout)["data"]
    return data


def of_line(breaks: list[dict[str, Any]], line_id: str) -> list[dict[str, Any]]:
    return [each for each in breaks if (each["gateway"] or {}).get("id") == line_id]
