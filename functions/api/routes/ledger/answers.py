"""Answer the requests about the books."""

from __future__ import annotations

from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context, visible_merchant
from api.pages import json_response, page_response
from api.problems import Problem, validation_failed
from api.request.model_body import read_query
from api.routes.ledger.schemas import AccountsQuery, BalancesQuery, EntriesQuery
from paybridge.core.fields import FieldError
from paybridge.ledger.domain.balances import account_view
from paybridge.ledger.domain.entries import entry_view
from paybridge.ledger.read_balances import list_accounts, read_balances
from paybridge.ledger.read_entries import EntryFilters, list_entries
from paybridge.ledger.sum_balances import sum_balances


def balances(request: Request) -> Response:
    """Return a merchant's balance in each currency, or that of all. Raises Problem (400, 403, 422)."""
    query = read_query(request, BalancesQuery)
    merchant_id = _merchant(request, query.merchant_id)
    database = request_context(request).services.database
    if merchant_id is None and query.as_of is not None:
        detail = "Name the merchant whose balances of that moment you want. Those of all are shown as they are now."
        raise validation_failed([FieldError("merchant_id", "required", detail)])
    found = sum_balances(database) if merchant_id is None else read_balances(database, merchant_id, query.as_of)
    return json_response({"data": [balance.view() for balance in found]})


def accounts(request: Request) -> Response:
    """Return a page of accounts. Raises Problem (400, 403, 422) and InvalidInput."""
    query = read_query(request, AccountsQuery)
    merchant_id = _merchant(request, query.merchant_id)
    database = request_context(request).services.database
    page = list_accounts(database, merchant_id, query.as_of, cursor=query.cursor, limit=query.limit)
    return page_response([orjson.dumps(account_view(account)) for account in page.accounts], page.next_cursor)


def entries(request: Request) -> Response:
    """Return a page of entries. Raises Problem (400, 403, 422) and InvalidInput."""
    query = read_query(request, EntriesQuery)
    filters = EntryFilters(
        account=query.account,
        payment_id=None if query.payment_id is None else UUID(query.payment_id),
        as_of=query.as_of,
    )
    merchant_id = _merchant(request, query.merchant_id)
    database = request_context(request).services.database
    page = list_entries(database, merchant_id, filters, cursor=query.cursor, limit=query.limit)
    return page_response([orjson.dumps(entry_view(entry)) for entry in page.entries], page.next_cursor)


def _merchant(request: Request, named: str | None) -> UUID | None:
    """Return the merchant whose books are asked for, None for those of all. A merchant may name itself alone."""
    own, wanted = visible_merchant(request), None if named is None else UUID(named)
    if own is not None and wanted not in (None, own):
        raise Problem(403, "role_not_permitted", "Only staff may read the books of another merchant.")
    return own or wanted
