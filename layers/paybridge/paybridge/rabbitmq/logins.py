"""Log in to the broker, also after the password at hand has been rotated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from aiormq.exceptions import AuthenticationError, ProbableAuthenticationError

from paybridge.core.errors import BrokerLoginRefused

# Called when the broker refuses a login: the URLs to try next, in their order.
FreshUrls = Callable[[], Iterable[str]]
REFUSALS = (AuthenticationError, ProbableAuthenticationError)

_Connected = TypeVar("_Connected")


def no_fresh_urls() -> Iterable[str]:
    """Return no URLs: there is no other login."""
    return ()


async def logged_in(connect: Callable[[str], Awaitable[_Connected]], url: str, fresh_urls: FreshUrls) -> _Connected:
    """Connect with `url`, or else with the first fresh URL whose login the broker accepts.

    Raises BrokerLoginRefused if there is none. Any other error of `connect` propagates at once.
    """
    try:
        return await connect(url)
    except BrokerLoginRefused as error:
        refusal = error
    for fresh_url in fresh_urls():
        try:
            return await connect(fresh_url)
        except BrokerLoginRefused as error:
            refusal = error
    raise refusal
