"""Logging in at the broker, also after the password at hand has been rotated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from aiormq.exceptions import AuthenticationError, ProbableAuthenticationError

from paybridge.core.errors import BrokerLoginRefused

# Asked when the broker refuses a login: the URLs to try then, one after the other.
RenewedUrls = Callable[[], Iterable[str]]
REFUSALS = (AuthenticationError, ProbableAuthenticationError)

_Connected = TypeVar("_Connected")


def none_renewed() -> Iterable[str]:
    """There is no other login."""
    return ()


async def logged_in(connect: Callable[[str], Awaitable[_Connected]], url: str, renewed_urls: RenewedUrls) -> _Connected:
    """What `connect` makes of the first URL whose login the broker takes: `url`, or if it must be a renewed one.

    Raises BrokerLoginRefused when there is none, and whatever else `connect` raises at once.
    """
    try:
        return await connect(url)
    except BrokerLoginRefused as error:
        refusal = error
    for renewed in renewed_urls():
        try:
            return await connect(renewed)
        except BrokerLoginRefused as error:
            refusal = error
    raise refusal
