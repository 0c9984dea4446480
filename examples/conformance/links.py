"""Find the link to documentation in an error, and see whether it leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from .api import Answer, Api

DESCRIBEDBY = re.compile(r'<([^>]*)>\s*(?:;[^,<]*)?;\s*rel\s*=\s*"?[^",;]*\b(?:describedby|help)\b', re.IGNORECASE)
URL_IN_TEXT = re.compile(r"https?://[^\s\"'<>)]+")
# What a problem is about is no documentation.
NO_DOCUMENTATION = {"instance"}


def link_of(answer: Answer) -> str | None:
    """Return the link to documentation in a `Link` header or in the body of an error, None if there is none."""
    for header in answer.headers.get_list("link"):
        found = DESCRIBEDBY.search(header)
        if found is not None:
            return found.group(1)
    return next(_links_in(answer.json()), None)


def leads_somewhere(api: Api, answer: Answer) -> tuple[bool, str]:
    """Tell whether an error has a link to documentation that is there, and what was seen.

    Links to other servers are not followed.
    """
    link = link_of(answer)
    if link is None:
        return False, f"the {answer} has neither a `Link` with rel=describedby nor a URL in its body"
    url = urljoin(answer.url, link)
    if not api.is_ours(url):
        return True, link
    page = api.get(url)
    return page.status in range(200, 400), link if page.status in range(200, 400) else f"{link} answers {page}"


def _links_in(value: Any, name: str = "") -> Iterator[str]:
    match value:
        case dict():
            for member, inner in value.items():
                if member not in NO_DOCUMENTATION:
                    yield from _links_in(inner, member)
        case list():
            for inner in value:
                yield from _links_in(inner, name)
        case str():
            # RFC 9457 allows a type that is relative to the request's URL.
            if name == "type" and value.startswith("/"):
                yield value
            yield from URL_IN_TEXT.findall(value)
