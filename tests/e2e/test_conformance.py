"""`make conformance` at the running stack: Paybridge keeps every rule of the draft."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from examples.conformance.rules import RULES
from examples.conformance.settings import DEFAULTS
from local.servers.postgres import connect
from local.settings import PROJECT
from local.stack.seed import DEMO_API_KEY
from local.stack.stack import Stack

pytestmark = pytest.mark.e2e

SLOW = "a payment that takes long to store"
# Holds a payment until a retry has waited 2 s for it, given up, and read that there is no answer yet. The limit of a
# statement is 6 s.
TAKE_LONG = """
    CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        retry integer;
        ends_at timestamptz := clock_timestamp() + interval '5 s';
    BEGIN
        WHILE clock_timestamp() < ends_at LOOP
            PERFORM pg_sleep(0.02), pg_stat_clear_snapshot();
            retry := coalesce(retry, (
                SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)) LIMIT 1
            ));
            EXIT WHEN EXISTS (
                SELECT FROM pg_stat_activity
                WHERE pid = retry AND state = 'idle' AND query NOT LIKE '%INSERT INTO idempotency_keys%'
            );
        END LOOP;
        RETURN NEW;
    END $$
"""
IN_FLIGHT = {"in-flight-409", "in-flight-described", "in-flight-retry"}


def conformance(stack: Stack, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person types it."""
    named = {"URL": stack.urls.api, "KEY": DEMO_API_KEY, **variables}
    command = ["make", "conformance", *(f"{name}={value}" for name, value in named.items())]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def verdicts(printed: str) -> dict[str, str]:
    rules: list[dict[str, Any]] = json.loads(printed)["rules"]
    return {rule["id"]: rule["verdict"] for rule in rules}


@pytest.fixture
def slow_payments(stack: Stack) -> Iterator[None]:
    """Let storing some payments take so long that a retry meets the original in progress."""
    with closing(connect(stack.urls.postgres)) as connection:
        connection.autocommit = True
        connection.run(TAKE_LONG)
        connection.run(f"""
            CREATE TRIGGER take_long BEFORE INSERT ON payments FOR EACH ROW WHEN (NEW.description = '{SLOW}')
            EXECUTE FUNCTION take_long()
        """)
        yield
        connection.run("DROP FUNCTION take_long() CASCADE")


def test_paybridge_keeps_every_rule_with_the_settings_that_come_with_the_command(stack: Stack) -> None:
    done = conformance(stack, JSON="1")
    assert done.returncode == 0, done.stdout + done.stderr
    found = verdicts(done.stdout)
    # Whether a retry meets its original in progress is left to chance here.
    assert {rule_id: verdict for rule_id, verdict in found.items() if verdict != "kept"}.keys() <= IN_FLIGHT
    assert "broken" not in found.values()


def test_paybridge_answers_409_while_the_original_is_in_progress(
    stack: Stack, slow_payments: None, tmp_path: Path
) -> None:
    config = tmp_path / "slow.toml"
    settings = DEFAULTS.read_text().replace("\ninvalid =", f'\nslow = {{ description = "{SLOW}" }}\ninvalid =')
    config.write_text(settings)
    done = conformance(stack, JSON="1", CONFIG=str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(done.stdout) == {rule.id: "kept" for rule in RULES}
