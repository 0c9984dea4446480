"""Print what was found: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .api import Api
from .rules import DRAFT, DRAFT_URL, Finding, Rule, Verdict

Results = Sequence[tuple[Rule, Finding]]

_STYLES = {Verdict.KEPT: "green", Verdict.BROKEN: "bold red", Verdict.NOT_APPLICABLE: "dim"}
# What does not go to a terminal is not folded: a program or a log reads it line by line.
_UNFOLDED_COLUMNS = 10_000


def print_json(api: Api, results: Results) -> None:
    """Print the results as JSON."""
    rules = [
        {**rule._asdict(), "verdict": finding.verdict, "seen": printable(finding.seen)} for rule, finding in results
    ]
    counts: dict[str, Any] = {verdict.replace(" ", "_"): _count(results, verdict) for verdict in Verdict}
    document = {"draft": DRAFT, "url": api.url, "settings": api.settings.name, **counts, "rules": rules}
    print(json.dumps(document, indent=2, ensure_ascii=False))


def print_table(api: Api, results: Results) -> None:
    """Print a row for each rule, the sentences of those that are broken, and the numbers."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _UNFOLDED_COLUMNS, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("verdict", "rule", "level", "section", "seen"):
        table.add_column(column, overflow="fold")
    for rule, finding in results:
        verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(verdict, rule.id, rule.level, rule.section, Text(printable(finding.seen)))
    console.print(table)
    broken = [rule for rule, finding in results if finding.verdict is Verdict.BROKEN]
    if broken:
        console.print(Text(f"\nBroken, by {DRAFT_URL}:"))
        for rule in broken:
            console.print(Text(f"  {rule.level} {rule.section}  {rule.id}: {rule.sentence}"))
    numbers = ", ".join(f"{_count(results, verdict)} {verdict}" for verdict in Verdict)
    console.print(Text(printable(f"\n{api.settings.name} at {api.url}: {numbers}, of {len(results)} rules of {DRAFT}")))


def printable(text: str) -> str:
    """Return a text that cannot change the terminal: control characters of an answer are replaced."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def _count(results: Results, verdict: Verdict) -> int:
    return sum(finding.verdict is verdict for _, finding in results)
