"""`make load` against a running stack: every request that is due is sent, and every payment is seen through."""

from __future__ import annotations

import os
import subprocess

import pytest

from bench.load_report import REPORT_FILE
from local.settings import PROJECT
from local.stack.stack import Stack
from local.testkit.servers import private_settings

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("bench_environment")]

BENCH_PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
RATE, SECONDS = 10, 12


def load(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(["functions", "layers/paybridge", "."])
    given = {**os.environ, "PYTHONPATH": paths, **environment}
    command = [str(BENCH_PYTHON), "-m", "bench.load"]
    return subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, timeout=90, check=False)


def test_a_short_run_loses_nothing_and_writes_its_report(stack: Stack) -> None:
    REPORT_FILE.unlink(missing_ok=True)
    run = {"RATE": str(RATE), "DURATION": str(SECONDS), "ARRIVALS": "even"}
    ended = load({**stack.settings.environment(), **run})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "lost, doubled or undelivered: none" in ended.stdout
    figures = dict(line.split(":", 1) for line in ended.stdout.splitlines() if ": " in line)
    # Such as "118 in 11.8 s, 10.0 a second". The load generator takes some of the duration to start.
    arrived, a_second = int(figures["arrived"].split()[0]), float(figures["arrived"].split()[-3])
    assert RATE < arrived <= RATE * SECONDS * 1.4
    assert a_second == pytest.approx(RATE, rel=0.2)
    assert int(figures["payments accepted"]) > arrived / 2
    assert figures["failed for good"].strip() == "none"
    page = REPORT_FILE.read_text(encoding="utf-8")
    assert "Latency since each request was due" in page
    assert "POST payment" in page


def test_without_a_stack_it_says_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = private_settings(tmp_path_factory.mktemp("nothing"))
    ended = load(settings.environment())
    assert ended.returncode == 1
    advice = "run `make up` first, or set URL=… to another stack."
    assert ended.stderr.strip() == f"No stack answers at {settings.api_url}: {advice}"


def test_a_rate_that_is_no_number_is_named(stack: Stack) -> None:
    ended = load({**stack.settings.environment(), "RATE": "many"})
    assert ended.returncode == 1
    assert ended.stderr.strip() == "RATE is 'many', which is not a number above 0: correct it."
