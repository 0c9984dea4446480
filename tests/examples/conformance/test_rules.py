"""The table of rules, and the page that lists them."""

from __future__ import annotations

import re

from examples.conformance.rules import DRAFT, RULES
from local.settings import PROJECT

PAGE = (PROJECT / "docs/developers/conformance.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (MUST|SHOULD|MAY) \| ([0-9.]+) \| (.+) \|$", re.MULTILINE)


def test_the_page_lists_every_rule_as_it_is() -> None:
    assert ROW.findall(PAGE) == [tuple(map(str, rule)) for rule in RULES]
    assert f"keeps all {len(RULES)} rules" in PAGE
    assert DRAFT in PAGE


def test_the_page_shows_the_settings_of_its_example() -> None:
    [shown] = re.findall(r"^```toml\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown == (PROJECT / "examples/conformance/payment-intents.toml").read_text(encoding="utf-8")


def test_no_two_rules_have_one_id_and_all_are_in_the_order_of_the_sections() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    sections = [[int(number) for number in rule.section.split(".")] for rule in RULES]
    assert sections == sorted(sections)
