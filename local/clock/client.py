"""Ask a running stack to advance its test clock, for commands and tests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol

from local.errors import LocalError

if TYPE_CHECKING:
    import httpx

ADVANCE_PATH = "/test/clock/advance"
SHOW_PATH = "/test/clock"
_PROGRESS_EVERY_SECONDS = 1.0
# A year with something due every hour takes minutes.
_ADVANCE_SECONDS_MAX = 3600.0
_SHOW_SECONDS_MAX = 10.0


class ClockRequestError(LocalError):
    """The stack did not advance. The message is a sentence for the user."""


class ShowsProgress(Protocol):
    """Shows where an advance is: the stack's time and its end, in RFC 3339, and how many stops it has made."""

    def __call__(self, now: str, to: str, stops: int) -> None: ...


def advance(api_url: str, seconds: float, show_progress: ShowsProgress | None = None) -> dict[str, Any]:
    """Advance the clock of the stack whose API is at `api_url`, and return the stack's answer once it is done.

    `show_progress` is called each second meanwhile. Raises ClockRequestError.
    """
    # The command line loads it for this command alone.
    import httpx

    client = httpx.Client(base_url=api_url, trust_env=False, timeout=_SHOW_SECONDS_MAX)
    with client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, ADVANCE_PATH, json={"seconds": seconds}, timeout=_ADVANCE_SECONDS_MAX)
        try:
            while show_progress is not None and asked not in wait([asked], _PROGRESS_EVERY_SECONDS).done:
                _show(client, show_progress)
            response = asked.result()
        except httpx.HTTPError as error:
            raise ClockRequestError(f"The stack at {api_url} does not answer: {error}.") from error
    return _answer_of(response)


def _show(client: httpx.Client, show_progress: ShowsProgress) -> None:
    shown = client.get(SHOW_PATH).json()
    if advancing := shown.get("advancing"):
        show_progress(shown["now"], advancing["to"], advancing["stops_total"])


def _answer_of(response: httpx.Response) -> dict[str, Any]:
    if response.is_success:
        answer: dict[str, Any] = response.json()
        return answer
    if response.status_code == 404:
        raise ClockRequestError("This stack has no test clock: only `make local` and `make up` start one.")
    raise ClockRequestError(str(response.json().get("detail", response.text)))
