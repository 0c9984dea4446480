"""Which plans a release refuses to apply."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.guard_plan import PROTECTED_TYPES, losses, main
from local.settings import PROJECT

REPLACED, RECREATED, DELETED = ["delete", "create"], ["create", "delete"], ["delete"]
HARMLESS = [["no-op"], ["create"], ["update"], ["read"], ["forget"]]
DATABASE = "module.database.aws_db_instance.this"


def plan(*changes: tuple[str, list[str]]) -> dict[str, Any]:
    """The JSON of a plan with these addresses and actions."""
    return {
        "format_version": "1.2",
        "resource_changes": [
            {"address": address, "type": address.split(".")[-2], "change": {"actions": actions}}
            for address, actions in changes
        ],
    }


class TestLosses:
    @pytest.mark.parametrize("actions", [REPLACED, RECREATED, DELETED])
    @pytest.mark.parametrize("kind", PROTECTED_TYPES)
    def test_are_deleted_and_replaced_databases_brokers_and_keys(self, kind: str, actions: list[str]) -> None:
        address = f"module.one.{kind}.this"
        assert losses(plan((address, actions)), ()).keys() == {address}
        assert losses(plan((address, actions)), {address}) == {}
        assert losses(plan((address, actions)), {"module.other.aws_db_instance.this"}).keys() == {address}

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["aws_db_instance", "aws_mq_broker", "aws_kms_key", "aws_sns_topic", "aws_db_proxy"]),
                st.sampled_from([*HARMLESS, REPLACED, RECREATED, DELETED]),
            ),
            max_size=20,
        )
    )
    def test_are_exactly_the_protected_ones_that_go(self, drawn: list[tuple[str, list[str]]]) -> None:
        changes = [(f"module.m{number}.{kind}.this", actions) for number, (kind, actions) in enumerate(drawn)]
        expected = {one for one, actions in changes if one.split(".")[-2] in PROTECTED_TYPES and "delete" in actions}
        assert losses(plan(*changes), ()).keys() == expected

    def test_of_an_empty_plan_are_none(self) -> None:
        assert losses({"format_version": "1.2"}, ()) == {}


class TestMain:
    def test_names_each_loss_and_what_it_holds(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(plan((DATABASE, REPLACED), ("module.topic.aws_sns_topic.this", DELETED))))
        assert main([str(file)]) == 1
        sentence = f"The plan deletes {DATABASE}, the database. If that is wanted, allow this address.\n"
        assert capsys.readouterr().err == sentence
        assert main([str(file), f"--allow= other , {DATABASE}"]) == 0

    def test_needs_no_installed_package(self, tmp_path: Path) -> None:
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(plan((DATABASE, ["update"]))))
        command = [sys.executable, "-S", "-m", "infra.guard_plan", str(file)]
        assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 0
