"""Run all checks against an API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from .api import Answer, Api, checked_key, new_key, new_marker
from .checks import CHECKS
from .rules import RULES, Finding, Rule, not_applicable
from .settings import Settings, Unusable

_CHARACTERS_MAX = 200


@contextmanager
def opened(url: str, key: str, settings: Settings) -> Iterator[Api]:
    """Return the API after a first request that it has accepted. Raises Unusable."""
    checked_key("OTHER_KEY", settings.other_key)
    with closing(Api(url, key, settings)) as api:
        first = api.create(new_key(), new_marker())
        if first.is_refusal and first.status not in (401, 403):
            # Some APIs take keys without quotation marks only. The other rules can be checked all the same.
            api.is_bare = True
            bare = api.create(new_key(), new_marker())
            first = bare if bare.is_success else first
        _demand_acceptance(api, first)
        yield api


def run(api: Api) -> list[tuple[Rule, Finding]]:
    """Return the finding of each rule, in the order of the table. Raises Unusable."""
    findings = {finding.rule_id: finding for check in CHECKS for finding in check(api)}
    left_out = {
        rule_id: not_applicable(rule_id, f"left out by the settings: {reason}")
        for rule_id, reason in api.settings.skip.items()
    }
    findings |= left_out
    return [(rule, findings[rule.id]) for rule in RULES]


def _demand_acceptance(api: Api, first: Answer) -> None:
    request = f"{api.settings.method} {api.settings.path}"
    if first.status == 0:
        reason = first.body.decode().rstrip(".")
        raise Unusable(f"{api.url} does not answer ({reason}). Is it running, and is URL right?")
    if first.status in (401, 403):
        raise Unusable(f"{request} was answered {first}: the API does not know this KEY, or it may not do this.")
    if not first.is_success:
        said = " ".join((first.description or first.body.decode(errors="replace"))[:_CHARACTERS_MAX].split())
        answered = f"{first}: {said.rstrip('.')}" if said else str(first)
        raise Unusable(
            f"{request}, the first request, was answered {answered}. Correct URL, or `request` in the settings."
        )
    if api.id_of(first) is None:
        raise Unusable(f"The answer to {request} has no member {api.settings.id_path}. Correct `resource.id`.")
