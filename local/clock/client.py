"""Ask a running stack to advance its test clock, for commands and tests."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol

from local.errors import LocalError

if TYPE_CHECKING:
    import httpx

ADVANCE_PATH = "/test/clock/advance"
SHOW_PATH = "/test/clock"
_UNIT_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?" for unit in _UNIT_SECONDS))
_PROGRESS_EVERY_SECONDS = 1.0
# A year with something due every hour takes minutes.
_ADVANCE_SECONDS_MAX = 3600.0
_SHOW_SECONDS_MAX = 10.0


class ClockRequestError(LocalError):
    """The stack did not advance. The message is a sentence for the user."""


class ShowsProgress(Protocol):
    """Shows where an advance is: the stack's time and its end, in RFC 3339, and how many stops it has made."""

    def __call__(self, now: str, to: str, stops: int) -> None: ...


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `75h`, `7d`, `1d12h`, `1.5h`, `90m` or `45`, which means seconds.

    Raises ValueError with a sentence for the user.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is no duration: write it as 75h, 7d, 1d12h, 90m or 45s.")
    return sum(float(amount) * _UNIT_SECONDS[unit] for unit, amount in found.groupdict().items() if amount)


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
