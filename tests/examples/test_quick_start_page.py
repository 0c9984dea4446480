"""The page of the quick start shows the programs that the other tests run."""

from __future__ import annotations

import re

from tests.support.quick_start import PROGRAMS
from tests.support.template import ROOT

PAGE = ROOT / "docs/merchants/quick-start.md"
SHOWN = re.compile(r"<code>examples/quick_start/([^<]+)</code></summary>\n\n```\w+\n(.*?)```\n\n</details>", re.DOTALL)
# `go mod init` makes it.
NOT_SHOWN = {"go/go.mod"}


def test_shows_each_program_as_it_is() -> None:
    shown = dict(SHOWN.findall(PAGE.read_text(encoding="utf-8")))
    files = [path for path in PROGRAMS.rglob("*.*") if path.is_file() and "__pycache__" not in path.parts]
    programs = {str(path.relative_to(PROGRAMS)): path.read_text(encoding="utf-8") for path in files}
    assert sorted(shown) == sorted(programs.keys() - NOT_SHOWN)
    for name, text in shown.items():
        assert text == programs[name], name
