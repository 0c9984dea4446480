"""Read the order for a payment out of its members, which came by HTTP or by message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from paybridge.core.errors import InvalidInput
from paybridge.core.fields import FieldError, FieldsInvalid, validate
from paybridge.core.money import check_amount, exponent, to_minor
from paybridge.intake.payment_request import PaymentRequest, payment_details
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.webhooks.domain.address import IpNetwork
from paybridge.webhooks.domain.webhook_url import check_webhook_url

_POSITIONS = {name: position for position, name in enumerate(PaymentRequest.model_fields)}


def read_order(members: Mapping[str, Any], *, local_webhook_networks: tuple[IpNetwork, ...]) -> PaymentOrder:
    """Return the order in the members of a strictly parsed JSON object.

    Raises InvalidInput for a single rule of the domain, and otherwise FieldsInvalid with every field that breaks one.
    """
    request, faults = validate(PaymentRequest, members)
    if request is not None:
        try:
            return _order(request, local_webhook_networks)
        except InvalidInput:
            # This may be the first fault of several.
            pass
    raise _refusal(members, faults, local_webhook_networks)


def _order(request: PaymentRequest, local_webhook_networks: tuple[IpNetwork, ...]) -> PaymentOrder:
    if request.webhook_url is not None:
        check_webhook_url(request.webhook_url, local_networks=local_webhook_networks)
    return PaymentOrder(
        amount_minor=to_minor(request.amount, request.currency), currency=request.currency, **payment_details(request)
    )


def _refusal(
    members: Mapping[str, Any], faults: list[FieldError], local_webhook_networks: tuple[IpNetwork, ...]
) -> FieldsInvalid | InvalidInput:
    faulty = {fault.field.partition(".")[0] for fault in faults}
    sound = {name: members[name] for name in _POSITIONS if members.get(name) is not None and name not in faulty}
    broken = list(_broken_rules(sound, local_webhook_networks))
    if broken and len(broken) + len(faults) == 1:
        return broken[0]
    all_faults = [*faults, *(FieldError(error.field or "", error.code, error.detail) for error in broken)]
    return FieldsInvalid(sorted(all_faults, key=_position))


def _broken_rules(sound: Mapping[str, str], local_webhook_networks: tuple[IpNetwork, ...]) -> Iterator[InvalidInput]:
    """Yield every rule of the domain that these members break. Members of a wrong type are left out of `sound`."""
    checks: dict[str, Callable[[str], object]] = {
        "currency": exponent,
        "webhook_url": lambda url: check_webhook_url(url, local_networks=local_webhook_networks),
    }
    broken = [error for name, check in checks.items() if name in sound and (error := _error_of(check, sound[name]))]
    yield from broken
    currency = sound.get("currency")
    knows_places = currency is not None and all(error.field != "currency" for error in broken)
    if "amount" in sound:
        amount_error = _error_of(
            lambda amount: to_minor(amount, currency or "") if knows_places else check_amount(amount), sound["amount"]
        )
        if amount_error is not None:
            yield amount_error


def _error_of(check: Callable[[str], object], value: str) -> InvalidInput | None:
    try:
        check(value)
    except InvalidInput as error:
        return error
    return None


def _position(fault: FieldError) -> int:
    return _POSITIONS.get(fault.field.partition(".")[0], len(_POSITIONS))
