"""The example of a receiver at a running stack, as its page says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.servers.processes import accepts_connections, free_port
from local.stack.seed import DEMO_API_KEY, DEMO_WEBHOOK_SECRET
from local.stack.stack import Stack
from local.testkit.live import eventually, merchant
from tests.support.template import ROOT

pytestmark = pytest.mark.e2e


@contextmanager
def running_receiver(folder: Path) -> Iterator[str]:
    """The receiver in a separate process."""
    port = free_port()
    command = [
        sys.executable,
        "examples/receiver/receiver.py",
        f"--port={port}",
        f"--secret={DEMO_WEBHOOK_SECRET}",
        f"--database={folder / 'receiver.db'}",
    ]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: accepts_connections(port), "the receiver listens")
            yield url
        finally:
            process.kill()


def test_it_has_the_state_of_each_payment(stack: Stack, tmp_path: Path) -> None:
    with running_receiver(tmp_path) as url, merchant(stack, DEMO_API_KEY) as demo:
        methods = ["tok_success", "tok_decline", "tok_insufficient_funds"]
        payment_ids = [demo.pay(payment_method=method, webhook_url=f"{url}/") for method in methods]
        for payment_id in payment_ids:
            payment = demo.settled(payment_id)

            def state(payment_id: str = payment_id) -> dict[str, Any] | None:
                answer = httpx.get(f"{url}/payment/{payment_id}", trust_env=False, timeout=30)
                found: dict[str, Any] | None = json.loads(answer.content) if answer.is_success else None
                return found

            found = eventually(state, f"the webhook of {payment_id}")
            assert {name: found[name] for name in payment} == payment
