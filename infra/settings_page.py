"""Put the table of settings into `docs/operators/settings.md`: `make settings-docs`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from paybridge.wiring.settings import TABLE, Setting

PAGE = Path(__file__).resolve().parents[1] / "docs/operators/settings.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def table(settings: Iterable[Setting[Any]]) -> str:
    """Return the settings as a table in Markdown."""
    return "\n".join(
        ["| Variable | Value | Default | Read by | Meaning |", "|---|---|---|---|---|", *map(_row, settings)]
    )


def with_table(page: str, settings: Iterable[Setting[Any]]) -> str:
    """Return the page with the table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(settings)}\n{END}{after}"


def _row(setting: Setting[Any]) -> str:
    value = f"{setting.kind.noun} ({setting.unit})" if setting.unit else setting.kind.noun
    default = {None: "required", "": "empty"}.get(setting.default, f"`{setting.default}`")
    return f"| `{setting.name}` | {value} | {default} | {', '.join(sorted(setting.readers))} | {setting.meaning} |"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), TABLE), encoding="utf-8")
