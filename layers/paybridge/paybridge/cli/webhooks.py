"""`paybridge webhooks`: look at endpoints and deliveries of webhooks, and send webhooks again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import MerchantOption, id_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_json, print_lines, print_page, print_view
from paybridge.cli.session import started
from paybridge.webhooks.domain.states import DeliveryStatus

ENDPOINT_COLUMNS = {
    "ENDPOINT": "endpoint_id",
    "STATUS": "status",
    "DISABLED": "disabled_reason",
    "FAILING SINCE": "failing_since",
    "MERCHANT": "merchant_id",
    "EVENTS": "events",
    "URL": "url",
}
COLUMNS = {
    "DELIVERY": "delivery_id",
    "STATUS": "status",
    "EVENT": "event_type",
    "ATTEMPTS": "attempt_count",
    "LAST ANSWER": "last_answer",
    "NEXT ATTEMPT": "next_attempt_at",
    "CREATED": "created_at",
}

app = typer.Typer(help="Look at endpoints and deliveries, and send webhooks again.", no_args_is_help=True)

DeliveryId = Annotated[UUID, typer.Argument(parser=id_of("delivery"), metavar="ID", help="The delivery's id.")]


@app.command()
def endpoints(
    context: typer.Context,
    merchant: MerchantOption = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List webhook endpoints, newest first."""
    from paybridge.webhooks.domain.endpoint import endpoint_view
    from paybridge.webhooks.read_endpoints import list_endpoints

    page = list_endpoints(started(context).database, merchant, cursor=cursor, limit=limit)
    views = [{**endpoint_view(found), "merchant_id": str(found.merchant_id)} for found in page.endpoints]
    rows = views if json else [{**view, "events": ",".join(view["events"])} for view in views]
    print_page(rows, page.next_cursor, ENDPOINT_COLUMNS, "There are no such endpoints.", json)


@app.command()
def deliveries(
    context: typer.Context,
    endpoint: Annotated[UUID, typer.Option(parser=id_of("endpoint"), metavar="ID", help="To this endpoint.")],
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only those in this status.")] = None,
    type_: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only those of this event type.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List the deliveries to an endpoint, newest events first. `payments show` has those of a payment."""
    from paybridge.webhooks.domain.delivery_log import DeliveryFilters, listed_view
    from paybridge.webhooks.read_deliveries import list_deliveries

    filters = DeliveryFilters(status=status, event_type=type_)
    page = list_deliveries(started(context).database, endpoint, filters, cursor=cursor, limit=limit)
    views = [listed_view(listed) for listed in page.deliveries]
    rows = views if json else [{**view, "last_answer": _answer(view["last_attempt"])} for view in views]
    print_page(rows, page.next_cursor, COLUMNS, "There are no such deliveries.", json)


@app.command()
def show(context: typer.Context, delivery_id: DeliveryId, json: AsJson = False) -> None:
    """Show a delivery with its body and every attempt."""
    from paybridge.webhooks.domain.delivery_log import record_view
    from paybridge.webhooks.read_deliveries import read_delivery

    record = read_delivery(started(context).database, None, delivery_id)
    if record is None:
        raise _unknown(delivery_id)
    view = record_view(record)
    if json:
        print_json(view)
    else:
        print_lines(_shown(view))


@app.command()
def redeliver(context: typer.Context, delivery_id: DeliveryId, json: AsJson = False) -> None:
    """Send a webhook again whose delivery has ended. It keeps its `webhook-id`."""
    from paybridge.core.times import format_time
    from paybridge.webhooks.domain.delivery_log import delivery_view
    from paybridge.webhooks.read_deliveries import read_delivery
    from paybridge.webhooks.redeliver import (
        ATTEMPTS_MAX,
        NoEndpoint,
        StillPending,
        TooManyAttempts,
        redeliver_webhook,
    )

    session = started(context)
    record = read_delivery(session.database, None, delivery_id)
    if record is None:
        raise _unknown(delivery_id)
    merchant_id = record.delivery.merchant_id
    match redeliver_webhook(session.database, session.clock, session.ids, merchant_id, delivery_id):
        case None:
            raise _unknown(delivery_id)
        case StillPending(next_attempt_at):
            when = f"at {format_time(next_attempt_at)}" if next_attempt_at is not None else "soon"
            raise fail(f"The delivery is pending, and its next attempt is made {when}. Wait for it.")
        case TooManyAttempts():
            raise fail(f"The delivery has had {ATTEMPTS_MAX} attempts, and no more are made.")
        case NoEndpoint():
            raise fail("The endpoint is disabled, deleted, or no longer chooses this event. Nothing was changed.")
        case delivery:
            print_view(delivery_view(delivery), json)


def _shown(view: Mapping[str, Any]) -> Iterable[str]:
    apart = {"body", "attempts", "last_attempt"}
    for name, value in view.items():
        if name not in apart and value is not None:
            yield f"{name:<16} {value}"
    yield ""
    for attempt in view["attempts"]:
        excerpt = attempt["response_excerpt"] or ""
        yield f"{attempt['started_at']}  {attempt['number']}. {_answer(attempt)}  {excerpt}".rstrip()
    yield f"\nbody:\n{view['body']}"


def _answer(attempt: Mapping[str, Any] | None) -> str | None:
    """Return how an attempt ended, in a few words: its status code or error, and how long it took."""
    if attempt is None:
        return None
    what = attempt["response_status"] or attempt["error"] or attempt["status"]
    return str(what) if attempt["duration_ms"] is None else f"{what} in {attempt['duration_ms']} ms"


def _unknown(delivery_id: UUID) -> typer.Exit:
    return fail(f"There is no delivery {delivery_id}.")
