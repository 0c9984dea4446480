"""Answer the requests about dead letters."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import RequestContext, caller, request_context
from api.problems import Problem
from api.request.headers import parse_idempotency_key, single_header
from api.request.json_body import check_content_type
from api.request.query import check_query_string
from api.routes.dead_letters.requests import parse_discard, parse_list_query, parse_redrive
from paybridge.dead_letters.discard import Discarded, discard_dead_letter
from paybridge.dead_letters.domain import content_view, dead_letter_view, group_view
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.read import group_dead_letters, list_dead_letters, read_dead_letter
from paybridge.dead_letters.redrive import RedriveKeyReused, RedriveOrder, plan_redrive, redrive_dead_letters


async def list_(request: Request) -> Response:
    """List dead letters, newest first."""
    context = request_context(request)
    check_query_string(request.scope["query_string"])
    query = parse_list_query(request.scope["query_string"], pages=True)
    page = list_dead_letters(context.services.database, query.selection, cursor=query.cursor, limit=query.limit)
    return _json(
        {
            "data": [dead_letter_view(letter) for letter in page.letters],
            "has_more": page.next_cursor is not None,
            "next_cursor": page.next_cursor,
        }
    )


async def groups(request: Request) -> Response:
    """List the groups of equal faults, largest first."""
    context = request_context(request)
    check_query_string(request.scope["query_string"])
    query = parse_list_query(request.scope["query_string"], pages=False)
    found = group_dead_letters(context.services.database, query.selection)
    return _json({"data": [group_view(group) for group in found], "has_more": False, "next_cursor": None})


async def redrive(request: Request) -> Response:
    """Publish dead letters again, or say what that would do."""
    context = request_context(request)
    key = _optional_key(request)
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    body = await request.body()
    wanted = parse_redrive(body)
    order = RedriveOrder(
        selection=wanted.selection,
        rate_per_second=wanted.rate_per_second,
        actor=caller(request).actor,
        key=key,
        request_fingerprint=hashlib.sha256(repr(wanted).encode()).digest() if key is not None else None,
    )
    try:
        answer = (plan_redrive if wanted.dry_run else redrive_dead_letters)(_services(context), order)
    except RedriveKeyReused:
        detail = "This Idempotency-Key was used with another redrive. Send a new key for a new redrive."
        raise Problem(422, "idempotency_key_reused", detail) from None
    return _json(answer.body, 202, {"Idempotency-Replayed": "true"} if answer.replayed else None)


async def show(request: Request, dead_letter_id: str) -> Response:
    """Show a dead letter with body, headers, deaths and what operators did with it."""
    context = request_context(request)
    content = read_dead_letter(context.services.database, _parse_id(dead_letter_id))
    if content is None:
        raise _not_found()
    return _json(content_view(content))


async def discard(request: Request, dead_letter_id: str) -> Response:
    """Discard a dead letter. The second time changes nothing."""
    context = request_context(request)
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    id_ = _parse_id(dead_letter_id)
    note = parse_discard(await request.body())
    outcome = discard_dead_letter(_services(context), id_, actor=caller(request).actor, note=note)
    if outcome is Discarded.NOT_DEAD:
        detail = "The dead letter is being redriven or was redriven. Discard it once it is dead again."
        raise Problem(409, "dead_letter_not_dead", detail)
    content = read_dead_letter(context.services.database, id_)
    if outcome is Discarded.UNKNOWN or content is None:
        raise _not_found()
    return _json(dead_letter_view(content.letter))


def _services(context: RequestContext) -> DeadLetterServices:
    return DeadLetterServices(context.services.database, context.services.clock, context.services.ids)


def _optional_key(request: Request) -> str | None:
    header = single_header(request.headers, "Idempotency-Key")
    return None if header is None else parse_idempotency_key(header)


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _not_found() from None


def _not_found() -> Problem:
    return Problem(404, "dead_letter_not_found", "No such dead letter. Check the id.")


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
