"""The fields of requests and answers about the books. Answers are only described by these models."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.request.parameters import PageQuery, Time, refuse_nul

_ID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_MERCHANT = "For staff: the merchant, all of them if absent. Merchants see their own."
AsOf = Annotated[
    Time | None, Field(description="As it was after all that had happened by this RFC 3339 time. Now if absent.")
]
Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Amount = Annotated[str, Field(description="A decimal string with every digit. A balance may be below zero.")]


class BalancesQuery(BaseModel):
    """Whose balances, and when. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    merchant_id: Annotated[str | None, Field(pattern=_ID, description=_MERCHANT)] = None
    as_of: AsOf = None


class AccountsQuery(PageQuery):
    """Which accounts to list. Unknown parameters are refused."""

    merchant_id: Annotated[str | None, Field(pattern=_ID, description=_MERCHANT)] = None
    as_of: AsOf = None


class EntriesQuery(PageQuery):
    """Which entries to list. Unknown parameters are refused."""

    merchant_id: Annotated[str | None, Field(pattern=_ID, description=_MERCHANT)] = None
    account: Annotated[
        str | None,
        Field(max_length=100, description="Only entries of this account, named as `/ledger/accounts` shows it."),
        AfterValidator(refuse_nul),
    ] = None
    payment_id: Annotated[str | None, Field(pattern=_ID, description="Only entries of this payment.")] = None
    as_of: AsOf = None


class BalanceView(BaseModel):
    """What a merchant has in one currency."""

    currency: Annotated[str, Field(examples=["EUR"])]
    pending: Annotated[Amount, Field(description="Authorized and not captured yet.", examples=["0.00"])]
    available: Annotated[
        Amount,
        Field(
            description="Captured, less fees, refunds and payouts. Below zero if more was refunded than was left.",
            examples=["97.19"],
        ),
    ]
    reserved: Annotated[Amount, Field(description="In payouts that are on their way.", examples=["0.00"])]


class BalanceList(BaseModel):
    """One balance for each currency. Nothing is added up across currencies."""

    data: list[BalanceView]


class AccountView(BaseModel):
    """An account of the books. `merchant_id` is null for those of the house."""

    account: Annotated[str, Field(examples=["019a9f3c-5b6d-7c3e-9f40-9f38f9a4d444/available/EUR/2"])]
    merchant_id: Id | None
    kind: Annotated[str, Field(examples=["available"])]
    currency: Annotated[str, Field(examples=["EUR"])]
    normal_side: Annotated[
        str,
        Field(description="The side that makes the balance larger.", json_schema_extra={"enum": ["debit", "credit"]}),
    ]
    debits: Amount
    credits: Amount
    balance: Amount


class AccountList(BaseModel):
    """A page of accounts."""

    data: list[AccountView]
    has_more: bool
    next_cursor: str | None


class EntryView(BaseModel):
    """An amount that moved from one account to another, and the journal that it is part of.

    `number` counts within the journal. `corrects` is the journal that this one takes back, and `reason` why.
    """

    journal_id: Id
    number: int
    rule: Annotated[str, Field(examples=["capture"])]
    rule_version: int
    event_id: Id
    payment_id: Id | None
    operation_id: Id | None
    merchant_id: Id
    debit_account: str
    credit_account: str
    amount: Amount
    currency: str
    happened_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    posted_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    corrects: Id | None
    reason: str | None


class EntryList(BaseModel):
    """A page of entries, newest first."""

    data: list[EntryView]
    has_more: bool
    next_cursor: str | None


MODELS = (BalanceList, AccountList, EntryList)
