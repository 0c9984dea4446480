"""`paybridge outbox audit` as an operator types it, over a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from local.testkit.payments import captured_payment, new_merchant
from paybridge import cli, wiring
from paybridge.audit import run
from paybridge.audit.domain import AuditOrder, AuditPage, AuditPosition, Phase
from paybridge.audit.nightly import audit_nightly
from paybridge.core.clock import SystemClock
from paybridge.core.gaps import Gap, GapKind
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement
from paybridge.wiring import audit as audit_wiring
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration


class Settings:
    """Those that an audit reads."""

    NOTIFICATION_SENDER = ""
    NOTIFICATION_SMS = "off"


@pytest.fixture(autouse=True)
def _no_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "environment", Settings)


def test_without_a_gap_it_says_so(terminal: Terminal) -> None:
    assert terminal.run("outbox", "audit", "--from", datetime.now(UTC).isoformat()) == (
        "Checked 0 payments and 0 payouts and endpoints with their events, and 0 rows of the outbox: no gap.\n"
    )


def test_gaps_are_listed_and_the_exit_code_is_1(terminal: Terminal) -> None:
    begin_at = datetime.now(UTC).isoformat()
    payment_id = captured_payment(terminal.database, new_merchant(terminal.database))
    assert cli.main(["outbox", "audit", "--from", begin_at]) == 1
    captured = terminal.output.readouterr()
    assert captured.out.splitlines() == [
        "Checked 1 payments and 0 payouts and endpoints with their events, and 1 rows of the outbox: 1 gaps.",
        "        1  state_differs",
        f"state_differs: payment {payment_id}  succeeded, and the last event is payment.created",
    ]
    assert "100.0%  1 payments, 1 rows, 1 gaps" in captured.err
    assert cli.main(["outbox", "audit", "--from", begin_at, "--json"]) == 1
    audit = json.loads(terminal.output.readouterr().out)
    assert (audit["kinds"], audit["complete"]) == ({"state_differs": 1}, True)


def test_a_gap_that_two_turns_find_counts_once(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    gap = Gap(kind=GapKind.NO_EVENTS, subject_type="payment", subject_id=UUID(int=1), detail="none")
    turns = iter((AuditPosition(Phase.ROWS, UUID(int=2)), None))

    def turn(_: object, order: AuditOrder, *__: object) -> AuditPage:
        return AuditPage(order=order, position=next(turns), checked=1, gaps=(gap,))

    monkeypatch.setattr(run, "run_audit", turn)
    assert cli.main(["outbox", "audit"]) == 1
    assert "2 rows of the outbox: 1 gaps." in terminal.output.readouterr().out


def test_the_last_of_the_nights_is_shown(terminal: Terminal) -> None:
    terminal.database.run(Statement("DELETE FROM outbox_audits"))
    assert "No nightly audit has ended yet." in terminal.refused("outbox", "audit", "--last")
    services = audit_wiring.services_over(terminal.database, SystemClock(), frozenset())
    audit = audit_nightly(services, Uuid7Ids(), 60.0).ended
    assert audit is not None
    assert cli.main(["outbox", "audit", "--last"]) == (1 if audit.page.gaps else 0)
    assert terminal.output.readouterr().out.startswith(f"Audit {audit.id}, from {audit.view()['from']} to ")
    cli.main(["outbox", "audit", "--last", "--json"])
    assert json.loads(terminal.output.readouterr().out) == audit.view()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--from", "2026-02-01", "--to", "2026-01-01"), "--from must be before --to"),
        (("--to", "0001-01-01T00:00:00+14:00"), "--from must be before --to"),
        (("--cursor", "x"), "is not a position that an earlier audit printed"),
        (("--last", "--from", "2026-02-01"), "--last has the range of its night"),
    ],
)
def test_wrong_arguments_are_refused(terminal: Terminal, arguments: tuple[str, ...], why: str) -> None:
    assert why in terminal.refused("outbox", "audit", *arguments, code=2)
