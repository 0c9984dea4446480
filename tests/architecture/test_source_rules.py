"""Rules about the source code that runs in Lambda, and about what tests do. A planted violation proves each."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import source_rules
from tests.support.template import ROOT

PACKAGE = ROOT / "layers/paybridge/paybridge"
PRODUCT = [ROOT / "functions", PACKAGE]
MONEY = [PACKAGE / "core/money.py", PACKAGE / "payments/domain/payment.py"]

# Beside the domains, the parts of the core that they use.
PURE_CORE = [
    PACKAGE / f"core/{name}.py"
    for name in ("errors", "event_patterns", "events", "money", "records", "retry", "standard_webhooks", "times")
]
DOMAINS = [*sorted(PACKAGE.glob("*/domain.py")), *sorted(PACKAGE.glob("*/domain/*.py"))]

Rule = Callable[[ast.AST], Iterator[source_rules.Finding]]


def modules(*places: Path) -> list[Path]:
    """Return the Python files in these places, at least one in each."""
    found = [place if place.is_file() else sorted(place.rglob("*.py")) for place in places]
    files = [file for entry in found for file in (entry if isinstance(entry, list) else [entry])]
    assert all(entry for entry in found)
    return files


def violations(rule: Rule, files: list[Path]) -> list[str]:
    """Return `path:line: what` for each finding of the rule in the files."""
    return [
        f"{file.relative_to(ROOT)}:{line}: {what}"
        for file in files
        for line, what in rule(ast.parse(file.read_text(encoding="utf-8")))
    ]


class TestProduct:
    def test_only_settings_reads_the_environment(self) -> None:
        files = [file for file in modules(*PRODUCT) if file != PACKAGE / "wiring/settings.py"]
        assert violations(source_rules.environment_reads, files) == []

    def test_only_the_database_module_commits(self) -> None:
        files = [file for file in modules(*PRODUCT) if file != PACKAGE / "database/database.py"]
        assert violations(source_rules.commits, files) == []

    def test_the_database_module_commits_in_one_place(self) -> None:
        assert len(violations(source_rules.commits, [PACKAGE / "database/database.py"])) == 1

    def test_no_float_is_in_the_money_modules(self) -> None:
        assert violations(source_rules.float_values, modules(*MONEY)) == []

    def test_no_float_is_made_in_the_payment_use_cases(self) -> None:
        assert violations(source_rules.float_calls, modules(PACKAGE / "payments")) == []

    def test_the_domain_is_pure(self) -> None:
        assert violations(source_rules.impurities, [*DOMAINS, *PURE_CORE]) == []


class TestTests:
    def test_no_request_has_the_short_default_timeout(self) -> None:
        files = modules(ROOT / "tests", ROOT / "local/testkit")
        assert violations(source_rules.default_timeouts, files) == []


PLANTED = [
    (source_rules.environment_reads, "import os\nvalue = os.environ['A']"),
    (source_rules.environment_reads, "import os\nvalue = os.getenv('A')"),
    (source_rules.environment_reads, "from os import environ"),
    (source_rules.commits, "connection.commit()"),
    (source_rules.commits, "finish = connection.commit"),
    (source_rules.commits, "connection.execute('commit;')"),
    (source_rules.default_timeouts, "import httpx\nhttpx.get(url, trust_env=False)"),
    (source_rules.default_timeouts, "import httpx\nclient = httpx.AsyncClient(base_url=url)"),
    (source_rules.float_calls, "amount = float(text)"),
    (source_rules.float_values, "def f(amount: float) -> None: ..."),
    (source_rules.float_values, "fee = amount_minor * 0.029"),
    (source_rules.float_values, "half = amount_minor / 2"),
    (source_rules.float_values, "amount_minor /= 2"),
    (source_rules.impurities, "import random"),
    (source_rules.impurities, "import time"),
    (source_rules.impurities, "import os.path"),
    (source_rules.impurities, "from pathlib import Path"),
    (source_rules.impurities, "from urllib import request"),
    (source_rules.impurities, "import sqlalchemy"),
    (source_rules.impurities, "from paybridge.database import outbox"),
    (source_rules.impurities, "import datetime\nnow = datetime.datetime.now()"),
    (source_rules.impurities, "from uuid import uuid4"),
    (source_rules.impurities, "import uuid\nnew_id = uuid.uuid4()"),
    (source_rules.impurities, "text = open('file').read()"),
    (source_rules.impurities, "print('hello')"),
]


class TestRules:
    @pytest.mark.parametrize(("rule", "source"), PLANTED)
    def test_a_planted_violation_is_found(self, rule: Rule, source: str) -> None:
        assert list(rule(ast.parse(source)))

    def test_what_the_domain_needs_is_pure(self) -> None:
        source = (
            "from datetime import datetime\nfrom urllib.parse import urlsplit\nfrom paybridge.core.money import M\n"
            "def expired(now: datetime) -> bool:\n    return now > LIMIT\n"
        )
        assert list(source_rules.impurities(ast.parse(source))) == []
