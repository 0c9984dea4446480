"""A notifier killed at any point: no SMS is sent twice, nothing is lost without a trace, and e-mails arrive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.testkit.notifications import EMAIL, PHONE, NotificationWorld
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.notifications.notify import notify
from paybridge.notifications.reports import BatchReport
from tests.faults.notify_and_die import POINTS, event_of, services_of

pytestmark = [pytest.mark.integration, pytest.mark.faults]

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def world(database_address: DatabaseAddress) -> Iterator[NotificationWorld]:
    world = NotificationWorld(database_address)
    yield world
    world.close()


def run_until_killed(*arguments: str) -> int:
    command = [sys.executable, "-m", "tests.faults.notify_and_die", *arguments]
    path = os.pathsep.join(["functions", "layers/paybridge", "."])
    return subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": path}, timeout=60).returncode


@pytest.mark.parametrize("point", POINTS)
async def test_no_sms_is_repeated_and_none_is_lost_silently(
    point: str, world: NotificationWorld, database_url: str, tmp_path: Path
) -> None:
    merchant_id, event_id, log = str(world.merchant()), str(Uuid7Ids().new()), tmp_path / "sent"
    log.touch()
    assert run_until_killed(database_url, merchant_id, event_id, str(log), point) == -signal.SIGKILL
    # The broker redelivers the event at once, and the command that looks again comes when the claim is old.
    event, services = event_of(merchant_id, event_id), services_of(world.database, log, "")
    await notify(services, [event], BatchReport())
    world.age_claims()
    report = BatchReport()
    await notify(services, [event, *world.commands(event.merchant_id)], report)
    await world.retry(event.merchant_id, email=services.email, sms=services.sms)

    sent = log.read_text().split()
    (email, sms) = world.notifications(event.merchant_id)
    assert email["status"] == "sent"
    assert sent.count(EMAIL) >= 1
    assert sent.count(PHONE) <= 1
    # What is said to be sent was, and what may have been is said to be unclear. Which of both channels was further when
    # the process died is chance.
    assert sms["status"] in (["sent"] if point == "begun" else ["sent", "unclear"])
    assert len(report.lost) == (sms["status"] == "unclear")
    if sms["status"] == "sent":
        assert sent.count(PHONE) == 1
