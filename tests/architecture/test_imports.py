"""The import contracts of pyproject.toml hold, and each of them can fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.template import ROOT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
}

LAYER = "layers/paybridge/paybridge"

# For each contract, imports that break it and no other: (contract, file, line to append).
PLANTED = [
    ("house", f"{LAYER}/webhooks/__init__.py", "import paybridge.payments"),
    ("house", f"{LAYER}/outbox/__init__.py", "import paybridge.rabbitmq"),
    ("house", f"{LAYER}/core/__init__.py", "import paybridge.payments"),
    ("house", f"{LAYER}/payments/__init__.py", "import paybridge.operations"),
    ("house", f"{LAYER}/payments/__init__.py", "import paybridge.refunds"),
    ("house", f"{LAYER}/fraud/__init__.py", "import paybridge.payments"),
    ("house", f"{LAYER}/loyalty/__init__.py", ""),
    ("house", f"{LAYER}/notifications/__init__.py", "import paybridge.payments"),
    ("house", f"{LAYER}/ledger/__init__.py", "import paybridge.payments"),
    ("house", f"{LAYER}/access/__init__.py", "import paybridge.notifications"),
    ("house", f"{LAYER}/analytics/__init__.py", "import paybridge.payments"),
    ("house", f"{LAYER}/analytics/update.py", "import paybridge.webhooks.read_ended"),
    ("house", f"{LAYER}/analytics/store/projection.py", "import paybridge.feed.store"),
    ("store-is-sql", f"{LAYER}/analytics/store/__init__.py", "import paybridge.analytics.update"),
    ("domain-is-pure", f"{LAYER}/analytics/domain.py", "import paybridge.analytics.update"),
    ("use-cases-know-ports", f"{LAYER}/analytics/update.py", "import paybridge.rabbitmq.publisher"),
    ("no-circles", f"{LAYER}/database/wire.py", "import paybridge.database.database"),
    ("store-is-sql", f"{LAYER}/payments/store/__init__.py", "import paybridge.payments.gateways.http"),
    ("store-is-sql", f"{LAYER}/payments/store/__init__.py", "import paybridge.payments.create"),
    ("store-is-sql", f"{LAYER}/access/store.py", "import httpx"),
    ("store-is-sql", f"{LAYER}/refunds/store/__init__.py", "import paybridge.refunds.create"),
    ("store-is-sql", f"{LAYER}/fraud/store/__init__.py", "import paybridge.fraud.screen"),
    ("store-is-sql", f"{LAYER}/payments/store/answers.py", "import paybridge.outbox.drain"),
    ("use-cases-know-ports", f"{LAYER}/payments/run_operations.py", "import paybridge.payments.gateways.http"),
    ("use-cases-know-ports", f"{LAYER}/payments/sweep.py", "import paybridge.rabbitmq.publisher"),
    ("use-cases-know-ports", f"{LAYER}/refunds/create.py", "import paybridge.rabbitmq.publisher"),
    ("use-cases-know-ports", f"{LAYER}/payments/accept_notice.py", "import paybridge.payments.gateways.notices"),
    ("use-cases-know-ports", f"{LAYER}/secrets/rotate.py", "import paybridge.secrets.api_key"),
    ("use-cases-know-ports", f"{LAYER}/webhooks/deliver.py", "import paybridge.webhooks.http"),
    ("use-cases-know-ports", f"{LAYER}/webhooks/deliver.py", "import paybridge.webhooks.checked_connections"),
    ("use-cases-know-ports", f"{LAYER}/secrets/rotate.py", "import paybridge.secrets.secrets_manager"),
    ("use-cases-know-ports", f"{LAYER}/secrets/rotate.py", "import paybridge.secrets.broker_users"),
    ("use-cases-know-ports", f"{LAYER}/notifications/notify.py", "import paybridge.notifications.ses"),
    ("use-cases-know-ports", f"{LAYER}/notifications/notify.py", "import paybridge.notifications.sns"),
    ("adapters-know-no-store", f"{LAYER}/notifications/aws.py", "import paybridge.notifications.store"),
    ("domain-is-pure", f"{LAYER}/notifications/domain/__init__.py", "import paybridge.notifications.aws"),
    ("store-is-sql", f"{LAYER}/notifications/store/__init__.py", "import paybridge.notifications.notify"),
    ("functions-use-wiring", "functions/notifier/__init__.py", "import paybridge.notifications.sns"),
    ("house", f"{LAYER}/bridge/__init__.py", "import paybridge.payments"),
    ("use-cases-know-ports", f"{LAYER}/bridge/send.py", "import paybridge.bridge.event_bridge"),
    ("functions-use-wiring", "functions/bridge/__init__.py", "import paybridge.bridge.event_bridge"),
    (
        "adapters-know-no-store",
        f"{LAYER}/payments/gateways/__init__.py",
        "import paybridge.payments.store",
    ),
    ("adapters-know-no-store", f"{LAYER}/payments/gateways/stripe.py", "import paybridge.payments.store.notices"),
    ("adapters-know-no-store", f"{LAYER}/secrets/signing_secrets.py", "import paybridge.secrets.store"),
    ("adapters-know-no-store", f"{LAYER}/secrets/broker_users.py", "import paybridge.secrets.store"),
    ("adapters-know-no-store", f"{LAYER}/secrets/secrets_manager.py", "import paybridge.secrets.store"),
    ("settings-by-wiring", f"{LAYER}/runners/relay.py", "import paybridge.wiring.settings"),
    ("observability-is-a-leaf", f"{LAYER}/observability/__init__.py", "import paybridge.database"),
    ("functions-use-wiring", "functions/api/__init__.py", "import paybridge.payments.store"),
    ("functions-use-wiring", "functions/consumer/__init__.py", "import paybridge.rabbitmq"),
    ("functions-use-wiring", "functions/jobs/__init__.py", "import paybridge.secrets.secrets_manager"),
    ("functions-use-wiring", "functions/jobs/__init__.py", "import paybridge.secrets.broker_users"),
    ("functions-use-wiring", "functions/api/__init__.py", "import paybridge.secrets.signing_secrets"),
    ("functions-use-wiring", "functions/api/__init__.py", "import paybridge.payments.gateways.stripe"),
    ("functions-use-wiring", "functions/jobs/__init__.py", "import paybridge.webhooks.checked_connections"),
    ("functions-are-independent", "functions/relay/__init__.py", "import consumer"),
    ("layer-knows-no-function", f"{LAYER}/payments/__init__.py", "import jobs"),
    ("functions-use-wiring", "functions/jobs/__init__.py", "import paybridge.wiring.settings"),
    ("domain-is-pure", f"{LAYER}/payments/domain/__init__.py", "import sqlalchemy"),
    ("domain-is-pure", f"{LAYER}/fraud/domain/__init__.py", "import orjson"),
    ("domain-is-pure", f"{LAYER}/refunds/domain.py", "import paybridge.payments.capture"),
    ("domain-is-pure", f"{LAYER}/webhooks/domain/__init__.py", "import paybridge.webhooks.http"),
    ("product-knows-no-laptop", "functions/jobs/__init__.py", "import moto"),
    ("product-knows-no-laptop", f"{LAYER}/database/__init__.py", "import local"),
    ("deployment-knows-no-laptop", "infra/__init__.py", "import local.settings"),
    ("laptop-knows-no-bench", "local/__init__.py", "import bench.cli"),
    ("only-tests-know-tests", "local/testkit/__init__.py", "import tests.support.metrics"),
    ("only-tests-know-tests", "bench/__init__.py", "import tests.support.metrics"),
]


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check every contract of the tree's pyproject.toml against the tree's packages."""
    return subprocess.run(
        [str(LINT_IMPORTS), "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree / 'functions'}:{tree / 'layers/paybridge'}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages in the contracts."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", tree)
    for folder in ("bench", "functions", "infra", "layers/paybridge/paybridge", "local", "tests/support"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", ".terraform"))
    return tree


@contextmanager
def planted(path: Path, line: str) -> Iterator[None]:
    """Append a line to the file, which is created if it is missing, and restore it afterwards."""
    original = path.read_text(encoding="utf-8") if path.exists() else None
    is_new_folder = not path.parent.exists()
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{original or ''}\n{line}\n", encoding="utf-8")
    try:
        yield
    finally:
        if is_new_folder:
            shutil.rmtree(path.parent)
        elif original is None:
            path.unlink()
        else:
            path.write_text(original, encoding="utf-8")


class TestContracts:
    def test_all_hold(self) -> None:
        result = lint_imports(ROOT)
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout

    def test_each_has_a_planted_violation(self) -> None:
        assert {contract for contract, _, _ in PLANTED} == set(CONTRACTS)

    @pytest.mark.parametrize(("contract", "file", "line"), PLANTED)
    def test_a_planted_violation_is_named(self, copied_tree: Path, contract: str, file: str, line: str) -> None:
        path = copied_tree / file
        with planted(path, line):
            result = lint_imports(copied_tree)
        assert result.returncode == 1, result.stdout + result.stderr
        assert f"{CONTRACTS[contract]} BROKEN" in result.stdout
