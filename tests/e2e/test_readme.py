"""The first five minutes of the README, pasted into a shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.settings import PROJECT, PYTHON_PATH
from local.stack.stack import Stack
from local.testkit import live

pytestmark = pytest.mark.e2e

FIRST_LINE = "API=http://127.0.0.1:8000 SINK=http://127.0.0.1:8091 GATEWAY=http://127.0.0.1:8090"
WEBHOOKS = {"payment.succeeded", "refund.created", "refund.succeeded", "payment.partially_refunded"}
FOLLOWS = "make logs "
STOPS_A_PART = "make outage "


def blocks() -> list[str]:
    """Return the shell blocks of the five minutes."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    minutes = text.partition("## Five minutes")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", minutes, re.DOTALL)


def script(stack: Stack) -> str:
    """Return the blocks as one script for this stack, without what does not end and what stops a part."""
    urls = stack.urls
    first, *others = blocks()
    assert first.strip() == FIRST_LINE
    sink = urlsplit(urls.sink).netloc
    lines = [
        # On a busy machine a payment may take longer than the README waits for it.
        line.replace("127.0.0.1:8091", sink).replace("wait=10", "wait=20")
        for block in others
        for line in block.splitlines()
        if not line.startswith((FOLLOWS, STOPS_A_PART))
    ]
    # make would install the environment that runs this test.
    commands = [
        line.replace("make payment ID=", f"{sys.executable} -m local.commands.operator payment ").replace(
            "make status", f"{sys.executable} -m local status"
        )
        for line in lines
    ]
    return "\n".join([f"API={urls.api} SINK={urls.sink} GATEWAY={urls.gateway}", *commands, "echo; echo id $ID"])


def all_received(stack: Stack, payment_id: str) -> list[dict[str, Any]]:
    """Return the payment's webhooks once one of each type has come."""
    webhooks = live.received(stack.urls.sink, payment_id)
    return webhooks if {webhook["body"]["type"] for webhook in webhooks} == WEBHOOKS else []


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")), reason="curl or jq, which the README asks for, is not installed"
)
def test_every_command_works_as_it_is_pasted(stack: Stack) -> None:
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script(stack)],
        cwd=PROJECT,
        env={
            **os.environ,
            **stack.settings.environment(),
            "PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH)),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    payment_id = ran.stdout.split()[-1]
    assert '"status":"pending"' in ran.stdout
    assert '"status": "succeeded",\n  "created_at"' in ran.stdout
    assert '"status": "succeeded",\n  "amount": "30.00"' in ran.stdout
    assert f"{payment_id}  100.50 RUB  succeeded" in ran.stdout
    status = '"status": "partially_refunded",\n  "amount_captured": "100.50",\n  "amount_refunded": "30.00"'
    assert status in ran.stdout
    assert '"kind": "refund"' in ran.stdout
    webhooks = live.eventually(lambda: all_received(stack, payment_id), "a webhook for each of its events")
    assert all(webhook["verified"] for webhook in webhooks)


def test_it_names_commands_that_make_has() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    for block in blocks():
        for before, after in pairwise(["", *block.split()]):
            if before == "make":
                assert re.search(rf"^{after}:", makefile, re.MULTILINE), after
