"""Every code that a fault of a rule can have. The API's document names them, so this module loads in an instant."""

from __future__ import annotations

CODES = (
    "amount_malformed",
    "amount_not_a_string",
    "amount_not_positive",
    "amount_too_large",
    "currency_unsupported",
    "customer_invalid",
    "duplicate_id",
    "duplicate_member",
    "not_a_boolean",
    "not_a_string",
    "not_an_array",
    "not_an_object",
    "not_an_option",
    "number_invalid",
    "payment_method_malformed",
    "required",
    "rule_id_invalid",
    "too_few_members",
    "too_many_members",
    "too_many_windows",
    "unknown_member",
    "velocity_without_limit",
)
