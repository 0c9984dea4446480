"""The rules of the draft that can be observed from outside, in the order of its sections."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

DRAFT = "draft-ietf-httpapi-idempotency-key-header-07"
DRAFT_URL = f"https://www.ietf.org/archive/id/{DRAFT}.html"


class Level(StrEnum):
    """How strongly the draft asks for it.

    A MAY is an option: it is broken if the API takes it and takes it wrongly. What section 5 recommends is a SHOULD
    here.
    """

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Verdict(StrEnum):
    """Whether the API keeps a rule."""

    KEPT = "kept"
    BROKEN = "broken"
    NOT_APPLICABLE = "not applicable"


class Rule(NamedTuple):
    """One rule, with the section of the draft that states it, in one sentence."""

    id: str
    level: Level
    section: str
    sentence: str


class Finding(NamedTuple):
    """What was seen of a rule, or why it does not apply."""

    rule_id: str
    verdict: Verdict
    seen: str


_MUST, _SHOULD, _MAY = Level.MUST, Level.SHOULD, Level.MAY

RULES = (
    Rule("quoted-key", _MUST, "2.1", "A key that is a structured field String, in double quotes, is accepted."),
    Rule("escaped-key", _MUST, "2.1", "A String with an escaped quotation mark and backslash is accepted."),
    Rule("repeated-header", _MUST, "2.1", "A header that is sent twice is no String: the request is refused."),
    Rule("expiry-documented", _SHOULD, "2.3", "The documentation says when a key or its answer expires."),
    Rule("same-members", _MAY, "2.4", "The same JSON members in another order make no second resource."),
    Rule("specification-published", _MUST, "2.5.2", "The API publishes how its keys work."),
    Rule("retry-one-resource", _SHOULD, "2.5.2", "A retry with the same key makes no second resource."),
    Rule(
        "new-key", _SHOULD, "2.6", "A new key is processed normally: equal requests with two keys make two resources."
    ),
    Rule("retry-same-answer", _SHOULD, "2.6", "A retry gets the status and the body of the first answer."),
    Rule("failed-retry", _SHOULD, "2.6", "A retry of a request that failed validation gets that error again."),
    Rule("original-kept", _SHOULD, "2.6", "After a refused reuse of its key, a retry of the original gets its answer."),
    Rule("concurrent-one-resource", _SHOULD, "2.6", "Simultaneous requests with one key make one resource."),
    Rule("concurrent-answers", _SHOULD, "2.6", "Each simultaneous request gets the result or a refusal, never a 5xx."),
    Rule("key-required", _SHOULD, "2.7", "A request without the key is answered 400."),
    Rule("key-required-link", _SHOULD, "2.7", "That 400 has a link to the documentation."),
    Rule("reused-key-fails", _MUST, "2.7", "A key with another payload fails and makes nothing."),
    Rule("reused-key-422", _SHOULD, "2.7", "A key with another payload is answered 422."),
    Rule("reused-key-link", _SHOULD, "2.7", "That 422 has a link to the documentation."),
    Rule("in-flight-409", _SHOULD, "2.7", "A retry that is refused while its original is in progress is answered 409."),
    Rule("in-flight-described", _SHOULD, "2.7", "That 409 describes the problem, or has a link to the documentation."),
    Rule("in-flight-retry", _SHOULD, "2.7", "After that 409 the same request, repeated, gets the original's answer."),
    Rule(
        "corrected-request", _MAY, "2.7", "A request that failed validation, once corrected, is accepted with its key."
    ),
    Rule("problem-details", _MAY, "2.7", "Errors of the key that say they are problem details are well-formed."),
    Rule("malformed-key", _SHOULD, "5", "A key that is not of the published format is refused and makes nothing."),
    Rule("key-format-documented", _SHOULD, "5", "The documentation says what a key may consist of."),
    Rule("other-caller", _SHOULD, "5", "A key belongs to its caller: the same key of another caller is a new one."),
)
RULE_IDS = frozenset(rule.id for rule in RULES)


def judged(rule_id: str, is_kept: bool, seen: str) -> Finding:
    """Return the finding that the rule is kept or broken."""
    return Finding(rule_id, Verdict.KEPT if is_kept else Verdict.BROKEN, seen)


def not_applicable(rule_id: str, reason: str) -> Finding:
    """Return the finding that the rule does not apply."""
    return Finding(rule_id, Verdict.NOT_APPLICABLE, reason)
