"""Problem details: the shape of errors about keys."""

from __future__ import annotations

from collections.abc import Iterator

from ..api import Answer, Api
from ..rules import Finding, judged, not_applicable

MEDIA_TYPE = "application/problem+json"


def check_problem_details(api: Api) -> Iterator[Finding]:
    """Look at the errors that the other checks have met, if they say that they are problem details (RFC 9457)."""
    problems = [error for error in api.errors if error.media_type == MEDIA_TYPE]
    if not problems:
        types = ", ".join(sorted({error.media_type or "no media type" for error in api.errors})) or "none was met"
        yield not_applicable("problem-details", f"errors have another shape, which the draft allows: {types}")
        return
    faults = [fault for fault in map(_fault, problems) if fault]
    yield judged("problem-details", not faults, faults[0] if faults else f"{len(problems)} errors, all well-formed")


def _fault(error: Answer) -> str | None:
    members = error.json()
    if not isinstance(members, dict):
        return f"the body of a {error} is no JSON object"
    if members.get("status", error.status) != error.status:
        return f"a {error} has the status {members['status']} in its body"
    for name in ("type", "title", "detail"):
        if not isinstance(members.get(name, ""), str):
            return f"`{name}` of a {error} is no text"
    return None
