"""Documentation: what the API publishes about its keys."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from ..api import Api
from ..rules import Finding, judged, not_applicable

# How far from the name of the header a statement about keys may be, in characters.
NEARBY = 1500
_HEADER = re.compile(r"idempotency[- ]?key", re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,1000}>")
_EXPIRY = re.compile(
    r"\bexpir|\bretention|\bretain|\bkept for\b|\bfor ever\b|\bforever\b|\bpurge|\bprune"
    r"|\bnever (?:free|deleted|removed)|\b\d+[ -](?:minute|hour|day|week)",
    re.IGNORECASE,
)
_FORMAT = re.compile(
    r"\buuid|\bcharacters?\b|\bmaxlength\b|\"pattern\"|\bascii\b|\balphanumeric|\bbytes\b", re.IGNORECASE
)
_RULES = ("expiry-documented", "key-format-documented")


def check_documentation(api: Api) -> Iterator[Finding]:
    """Read the documentation, and look for statements near the name of the header."""
    url = api.settings.documentation_url
    if not url:
        for rule_id in ("specification-published", *_RULES):
            yield not_applicable(rule_id, "the settings name no documentation (`documentation.url`)")
        return
    page = api.get(url)
    text = _text(page.body.decode(errors="replace"))
    nearby = "\n".join(_near(text)) if page.is_success else ""
    seen = "names the header" if nearby else "does not name the header" if page.is_success else f"answered {page}"
    yield judged("specification-published", bool(nearby), f"{url} {seen}")
    if not nearby:
        for rule_id in _RULES:
            yield not_applicable(rule_id, f"{url} {seen}")
        return
    yield _stated("expiry-documented", _EXPIRY, nearby, "when a key expires")
    yield _stated("key-format-documented", _FORMAT, nearby, "what a key may consist of")


def _stated(rule_id: str, statement: re.Pattern[str], nearby: str, what: str) -> Finding:
    found = statement.search(nearby)
    if found is None:
        return judged(rule_id, False, f"nothing near the header's name says {what}")
    quote = " ".join(nearby[max(found.start() - 30, 0) : found.end() + 30].split())
    return judged(rule_id, True, f"“…{quote}…”")


def _text(page: str) -> str:
    """Return the text of a page in HTML, JSON or plain text."""
    if page.lstrip()[:1] in "{[":
        return page.replace("\\n", " ")
    is_html = page.lstrip()[:1] == "<"
    return html.unescape(_TAG.sub(" ", page)) if is_html else page


def _near(text: str) -> Iterator[str]:
    for found in _HEADER.finditer(text):
        yield text[max(found.start() - NEARBY, 0) : found.end() + NEARBY]
