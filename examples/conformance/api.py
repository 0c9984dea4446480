"""Talk to the API: send requests that create a resource, and read their answers."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from .settings import Settings, Unusable

TOO_MANY = 429
TRIES_MAX = 5
WAIT_SECONDS_MAX = 10.0
# An id in a log must not look like a card number, so a marker has no digits.
_NO_DIGITS = str.maketrans("0123456789", "ghijklmnop")
# Where errors say what happened: problem details, and what Stripe and others have.
_DESCRIPTIONS = ("detail", "title", "message", "error", "error.message", "error.description")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Its status is 0 if none came, and then `body` says why."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: str = ""

    @property
    def is_success(self) -> bool:
        """Tell whether the request was accepted."""
        return 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        """Tell whether the request was refused as the caller's mistake."""
        return 400 <= self.status < 500

    @property
    def media_type(self) -> str:
        """Return the type of the body, without its parameters."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the decoded body, None if it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def description(self) -> str:
        """Return what an error says that happened, empty if it says nothing."""
        said = (at(self.json(), path) for path in _DESCRIPTIONS)
        return next((text for text in said if text and isinstance(text, str)), "")

    def __str__(self) -> str:
        """Describe the answer by its status."""
        return str(self.status) if self.status else f"no answer ({self.body.decode()})"


def listed(answers: Sequence[Answer]) -> str:
    """Describe answers by their statuses and how many have each."""
    statuses = [str(answer) for answer in answers]
    return ", ".join(f"{statuses.count(status)} x {status}" for status in sorted(set(statuses)))


def new_marker() -> str:
    """Return a text by which the resources of one check are found."""
    return "conformance-" + secrets.token_hex(8).translate(_NO_DIGITS)


def new_key() -> str:
    """Return a new key, without quotation marks."""
    return str(uuid.uuid4())


def at(value: Any, path: str) -> Any:
    """Return the member of decoded JSON that a dotted path leads to, None if there is none."""
    for name in filter(None, path.split(".")):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


class Api:
    """The API under test. `is_bare` if it only takes keys without quotation marks.

    `errors` are the answers to mistakes with keys that the checks have met.
    """

    def __init__(self, url: str, key: str, settings: Settings) -> None:
        self.url = checked_url(url)
        self.key = checked_key("KEY", key, is_needed=any("{key}" in value for value in settings.headers.values()))
        self.settings = settings
        self.is_bare = False
        self.errors: list[Answer] = []
        self._client = httpx.Client(
            timeout=settings.timeout_seconds,
            limits=httpx.Limits(max_connections=None),
            # A proxy cannot reach this machine's loopback.
            trust_env=not _is_loopback(self.url),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def create(
        self,
        key: str | Sequence[str] | None,
        marker: str,
        members: Mapping[str, Any] | None = None,
        *,
        caller_key: str | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """Send the request of the settings, in which `members` replace those of the same name.

        The key is quoted unless the API wants it bare. Several keys are sent in a header each, None in none. `content`
        replaces the body.
        """
        fields = [] if key is None else [key] if isinstance(key, str) else [*key]
        return self.send(marker, [self.spelled(field) for field in fields], members, caller_key, content)

    def create_raw(self, field: str, marker: str) -> Answer:
        """Send the request with an `Idempotency-Key` that is exactly `field`."""
        return self.send(marker, [field])

    def send(
        self,
        marker: str,
        fields: Sequence[str],
        members: Mapping[str, Any] | None = None,
        caller_key: str | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """Send the request with these `Idempotency-Key` headers."""
        headers = [
            *((name, value.replace("{key}", caller_key or self.key)) for name, value in self.settings.headers.items()),
            *(("Idempotency-Key", field) for field in fields),
            ("Content-Type", "application/x-www-form-urlencoded" if self.settings.is_form else "application/json"),
        ]
        body = content or self.body(marker, members)
        return self._request(self.settings.method, self.url + self.settings.path, headers, body)

    def body(self, marker: str, members: Mapping[str, Any] | None = None) -> bytes:
        """Return the body of a request, in which `members` replace those of the same name."""
        filled = _filled({**self.settings.members, **(members or {})}, marker)
        if self.settings.is_form:
            return str(httpx.QueryParams(filled)).encode()
        return json.dumps(filled).encode()

    def spelled(self, key: str) -> str:
        """Return the header of a key: a structured field String, or bare."""
        if self.is_bare:
            return key
        return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def get(self, url: str) -> Answer:
        """Return what is at a path of the API, or at a URL. Only the API gets the caller's key."""
        target = str(httpx.URL(self.url + "/").join(url)) if "://" in url else self.url + url
        headers = list(self.settings.headers.items()) if self.is_ours(target) else []
        return self._request("GET", target, [(name, value.replace("{key}", self.key)) for name, value in headers])

    def is_ours(self, url: str) -> bool:
        """Tell whether a URL is of the API's server."""
        return urlsplit(url)[:2] == urlsplit(self.url)[:2]

    def id_of(self, answer: Answer) -> str | None:
        """Return the id of the resource in an answer, None if there is none."""
        found = at(answer.json(), self.settings.id_path)
        return None if found is None or isinstance(found, dict | list) else str(found)

    def count(self, marker: str) -> int | None:
        """Return how many resources have the marker, None if the settings do not say where they are listed.

        Raises Unusable if they cannot be listed.
        """
        path = self.settings.list_path
        if not path:
            return None
        answer = self.get(path.replace("{marker}", quote(marker)))
        items = at(answer.json(), self.settings.items_path)
        if not isinstance(items, list):
            where = f"`resource.items` ({self.settings.items_path})" if self.settings.items_path else "the body"
            raise Unusable(f"GET {path} answered {answer}, without a list in {where}. Correct `resource`.")
        return len(items)

    def _request(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes = b"") -> Answer:
        for number in range(1, TRIES_MAX + 1):
            try:
                response = self._client.request(method, url, headers=headers, content=body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                return Answer(0, httpx.Headers(), (str(error) or type(error).__name__).encode(), url)
            if response.status_code != TOO_MANY or number == TRIES_MAX:
                break
            time.sleep(_wait_seconds(response.headers.get("retry-after", "")))
        return Answer(response.status_code, response.headers, response.content, url)


def checked_url(url: str) -> str:
    """Return a base URL without the slash at its end. Raises Unusable."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.query or parts.fragment or not url.isprintable():
        raise Unusable(f"{url!r} is no base URL of an API. Name one such as URL=http://127.0.0.1:8000.")
    return url.rstrip("/")


def checked_key(name: str, key: str, *, is_needed: bool = False) -> str:
    """Return a caller's key that can be sent in a header. Raises Unusable."""
    if is_needed and not key:
        raise Unusable(f"The settings send the caller's key. Name it: {name}=….")
    if not key.isascii() or not (key.isprintable() or not key):
        raise Unusable(f"{name} has a character that no header may hold.")
    return key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wait_seconds(retry_after: str) -> float:
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = 1.0
    return min(max(seconds, 0.1), WAIT_SECONDS_MAX) if seconds == seconds else 1.0


def _filled(value: Any, marker: str) -> Any:
    if isinstance(value, str):
        return value.replace("{marker}", marker)
    if isinstance(value, dict):
        return {name: _filled(member, marker) for name, member in value.items()}
    if isinstance(value, list):
        return [_filled(item, marker) for item in value]
    return value
