"""The fields of fraud rules and dry runs, as the document describes them. The domain validates requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from paybridge.fraud.domain.reading import (
    AMOUNT_PATTERN,
    COUNT_MAX,
    CUSTOMER_CHARACTERS_MAX,
    LIST_MEMBERS_MAX,
    PAYMENT_METHOD_PATTERN,
    RULE_ID_PATTERN,
    RULES_MAX,
    SCORE_MAX,
    WINDOW_SECONDS_MAX,
)

Amount = Annotated[str, Field(pattern=AMOUNT_PATTERN, examples=["500.00"])]
Customer = Annotated[str, Field(min_length=1, max_length=CUSTOMER_CHARACTERS_MAX)]
Currency = Annotated[str, Field(description="An upper-case ISO 4217 code.", examples=["EUR"])]
PaymentMethod = Annotated[str, Field(pattern=PAYMENT_METHOD_PATTERN)]

_MEMBERS = Field(min_length=1, max_length=LIST_MEMBERS_MAX, json_schema_extra={"uniqueItems": True})


class VelocityView(BaseModel):
    """A limit on what was screened before, within a sliding window. It needs `count_gte`, `amount_gte` or both.

    It counts the merchant's other payments that were screened earlier, whatever was decided about them: with
    `count_gte` 10, ten payments pass and the eleventh is stopped. A payment without a customer (or a method) never
    reaches a limit per customer (or per method).
    """

    model_config = ConfigDict(title="Velocity", extra="forbid")

    per: Annotated[
        Literal["customer", "payment_method", "merchant"],
        Field(description="Which payments count: those of the same customer, of the same method, or all."),
    ]
    window_seconds: Annotated[int, Field(ge=1, le=WINDOW_SECONDS_MAX, examples=[3600])]
    count_gte: Annotated[
        Annotated[int, Field(ge=1, le=COUNT_MAX)] | None,
        Field(description="This many payments or more.", examples=[10]),
    ] = None
    amount_gte: Annotated[
        Amount | None, Field(description="This much money or more, among the payments in this payment's currency.")
    ] = None


class ConditionsView(BaseModel):
    """What must be true of a payment for the rule to fire: all that is named. Without any, every payment fires it."""

    model_config = ConfigDict(title="FraudConditions", extra="forbid")

    amount_gte: Annotated[
        Amount | None,
        Field(
            description="A decimal number that is compared with the payment's amount in its own currency, without any "
            "conversion. Name the currencies in `currency_in`, unless one number fits all of yours."
        ),
    ] = None
    currency_in: Annotated[list[Currency], _MEMBERS] | None = None
    customer_in: Annotated[list[Customer], _MEMBERS] | None = None
    payment_method_in: Annotated[list[PaymentMethod], _MEMBERS] | None = None
    first_seen_customer: Annotated[
        bool | None,
        Field(
            description="Whether no earlier payment of the customer has begun. A payment without a customer fires "
            "neither `true` nor `false`."
        ),
    ] = None
    velocity: VelocityView | None = None


class FraudRuleView(BaseModel):
    """A rule."""

    model_config = ConfigDict(title="FraudRule", extra="forbid")

    id: Annotated[str, Field(pattern=RULE_ID_PATTERN, description="Your name for the rule, unique among your rules.")]
    action: Annotated[
        Literal["allow", "review", "block"],
        Field(
            description="`allow` ends the evaluation and lets the payment pass. Otherwise the severest action that "
            "fires decides: `block` before `review`."
        ),
    ]
    score: Annotated[
        Annotated[int, Field(ge=0, le=SCORE_MAX)] | None,
        Field(description="Added to the payment's score if the rule fires. 0 if absent."),
    ] = None
    when: ConditionsView


Rules = Annotated[list[FraudRuleView], Field(max_length=RULES_MAX, description="In the order of evaluation.")]


class FraudRulesRequest(BaseModel):
    """The rules that replace all others."""

    model_config = ConfigDict(extra="forbid")

    rules: Rules


class DryRunRequest(BaseModel):
    """The rules to try, and the payments to try them on: created from `from` on and before `to`."""

    model_config = ConfigDict(extra="forbid")

    rules: Rules
    from_: Annotated[str, Field(alias="from", json_schema_extra={"format": "date-time"})]
    to: Annotated[
        str,
        Field(
            description="After `from`. The present moment if later.",
            json_schema_extra={"format": "date-time"},
        ),
    ]


class FraudRulesView(BaseModel):
    """The merchant's rules."""

    model_config = ConfigDict(title="FraudRules")

    rules: Annotated[list[FraudRuleView], Field(description="As they were sent, without members that were null.")]
    version: Annotated[int, Field(description="Grows with each replacement. 0 if there never were any rules.")]
    created_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]


class DryRunSampleView(BaseModel):
    """A payment that would not have been allowed."""

    model_config = ConfigDict(title="DryRunSample")

    payment_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    decision: Literal["review", "block"]
    score: int
    rules: Annotated[list[str], Field(description="The ids of the rules that fired.")]


class DryRunDecisionsView(BaseModel):
    """How many payments would have had each decision."""

    model_config = ConfigDict(title="DryRunDecisions")

    allow: int
    review: int
    block: int


class DryRunView(BaseModel):
    """A dry run and its results so far."""

    model_config = ConfigDict(title="DryRun")

    dry_run_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    state: Annotated[
        Literal["running", "finished", "canceled"],
        Field(description="`canceled` if a later dry run took its place, or it was not finished within a day."),
    ]
    from_: Annotated[str, Field(alias="from", json_schema_extra={"format": "date-time"})]
    to: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    progress: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Which part of the payments was read, those before `from` that velocities count included.",
        ),
    ]
    checked: Annotated[int, Field(description="Payments decided about so far.")]
    total: Annotated[int, Field(description="Payments to decide about.")]
    decisions: DryRunDecisionsView
    rules: Annotated[dict[str, int], Field(description="How many payments fired each rule, by its id.")]
    samples: Annotated[
        list[DryRunSampleView], Field(description="The first 20 payments of each decision other than `allow`.")
    ]
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    finished_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]


MODELS: tuple[type[BaseModel], ...] = (FraudRulesRequest, DryRunRequest, FraudRulesView, DryRunView)
