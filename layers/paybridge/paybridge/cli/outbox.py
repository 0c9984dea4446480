"""`paybridge outbox`: audit the outbox."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paybridge.audit.domain import (
    GRACE_SECONDS,
    GRACE_SECONDS_MAX,
    AuditOrder,
    AuditPage,
    NightlyAudit,
    parse_position,
)
from paybridge.cli.arguments import parse_time
from paybridge.cli.output import AsJson, fail, print_json, print_lines
from paybridge.cli.session import started
from paybridge.core.errors import InvalidInput
from paybridge.core.times import shift

if TYPE_CHECKING:
    from paybridge.audit.domain import AuditPosition
    from paybridge.audit.ports import AuditServices

RANGE = timedelta(days=1)
# The function `operate` has 30 seconds for a command.
SECONDS = 25
SECONDS_MAX = 3600
# After so long the progress is printed again.
TURN_SECONDS = 1.0
SHOWN_MAX = 100

app = typer.Typer(help="Audit the outbox.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `audit` a command of the group, although it is the only one."""


def _cursor(text: str) -> Any:
    try:
        return parse_position(text)
    except InvalidInput:
        raise typer.BadParameter(f"{text!r} is not a position that an earlier audit printed") from None


@app.command()
def audit(
    context: typer.Context,
    begin_at: Annotated[
        Any, typer.Option("--from", parser=parse_time, metavar="TIME", help="From this time on. A day if absent.")
    ] = None,
    end_at: Annotated[
        Any, typer.Option("--to", parser=parse_time, metavar="TIME", help="Before this time. Now if absent.")
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            min=0, max=GRACE_SECONDS_MAX, metavar="N", help="What is younger than N seconds may be on its way."
        ),
    ] = GRACE_SECONDS,
    seconds: Annotated[
        int, typer.Option(min=1, max=SECONDS_MAX, metavar="N", help="Stop after N seconds and say how to go on.")
    ] = SECONDS,
    cursor: Annotated[
        Any, typer.Option(parser=_cursor, metavar="CURSOR", help="Go on where an audit of the same range stopped.")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Show what the last nightly audit found, and audit nothing.")] = (
        False
    ),
    json: AsJson = False,
) -> None:
    """Find changes without their event, events that were not published, and events that a consumer has lost.

    Exit code 1 if there are gaps.
    """
    from paybridge.audit.run import begin
    from paybridge.wiring import audit as audit_wiring

    started(context)
    services = audit_wiring.services()
    if last:
        if begin_at or end_at or cursor:
            raise typer.BadParameter("--last has the range of its night")
        _show_last(services, as_json=json)
        return
    now = services.clock.now()
    end_at = min(end_at or now, now)
    begin_at = begin_at or shift(end_at, -RANGE)
    if begin_at >= end_at:
        raise typer.BadParameter("--from must be before --to, and in the past")
    order = AuditOrder(begin_at=begin_at, end_at=end_at, grace_seconds=grace)
    page = _run(services, order, cursor or begin(order), seconds)
    if json:
        print_json(page.view())
    else:
        print_lines(_lines(page))
    if page.gaps:
        raise typer.Exit(1)
    if page.position is not None and not json:
        raise fail("The audit is not complete.")


def _show_last(services: AuditServices, *, as_json: bool) -> None:
    from paybridge.audit.nightly import find_last

    last = find_last(services)
    if last is None:
        raise fail("No nightly audit has ended yet.")
    if as_json:
        print_json(last.view())
    else:
        print_lines(_lines_of_night(last))
    if last.page.gaps:
        raise typer.Exit(1)


def _lines_of_night(audit: NightlyAudit) -> Iterable[str]:
    view = audit.view()
    yield f"Audit {audit.id}, from {view['from']} to {view['to']}, ended at {view['finished_at']}."
    yield from _lines(audit.page)


def _run(services: AuditServices, order: AuditOrder, position: AuditPosition, seconds: int) -> AuditPage:
    """Audit with progress on standard error, until it is complete, the time is over or there are too many gaps."""
    import time

    from paybridge.audit.run import GAPS_MAX, run_audit

    ends_at = time.monotonic() + seconds
    whole = AuditPage(order=order, position=position)
    while whole.position is not None and len(whole.gaps) < GAPS_MAX:
        page = run_audit(services, order, whole.position, min(TURN_SECONDS, ends_at - time.monotonic()))
        whole = whole.followed_by(page)
        print(_progress(whole), file=sys.stderr, flush=True)
        if time.monotonic() >= ends_at:
            break
    return whole


def _progress(page: AuditPage) -> str:
    return f"{page.progress:6.1%}  {page.payments} payments, {page.checked} rows, {len(page.gaps)} gaps"


def _lines(page: AuditPage) -> Iterable[str]:
    kinds = Counter(gap.kind for gap in page.gaps)
    found = "no gap" if not page.gaps else f"{len(page.gaps)} gaps"
    subjects = f"{page.payments} payments and {page.others} payouts and endpoints"
    yield f"Checked {subjects} with their events, and {page.checked} rows of the outbox: {found}."
    for kind, count in sorted(kinds.items()):
        yield f"  {count:>7}  {kind}"
    for gap in page.gaps[:SHOWN_MAX]:
        event = f"  {gap.event_type or 'event'} {gap.event_id}" if gap.event_id else ""
        yield f"{gap.kind}: {gap.subject_type} {gap.subject_id}{event}  {gap.detail}"
    if len(page.gaps) > SHOWN_MAX:
        yield f"{len(page.gaps) - SHOWN_MAX} more: --json has them all."
    if page.position is not None:
        begin_at, end_at = page.view()["from"], page.view()["to"]
        yield f"Go on with --from {begin_at} --to {end_at} --cursor {page.position}"
