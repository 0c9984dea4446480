"""docs/merchants/testing.md lists every magic payment method of the simulated gateway, and no other."""

from __future__ import annotations

import re

from local.gateway.behaviour import MAGIC_METHODS
from tests.support.template import ROOT

PAGE = ROOT / "docs/merchants/testing.md"


def test_lists_each_magic_method_once() -> None:
    listed = re.findall(r"^\| `(tok_\w+)` \| .+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(MAGIC_METHODS)
