"""`make payment` and `make register` on an environment: the call of the function, and its answer."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra import operate
from infra.environments import read_environment
from infra.errors import InputMissingError
from tests.support.template import TEMPLATE

DEV = read_environment("dev", TEMPLATE)


class FakeAccount:
    """Replaces Lambda, because the AWS fake cannot run functions without Docker."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def check_credentials(self) -> str:
        return "123456789012"

    def client(self, service: str, patience: Any) -> FakeAccount:
        assert service == "lambda"
        assert patience.retries["total_max_attempts"] == 1
        return self

    def invoke(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def answer(result: Any, **more: Any) -> dict[str, Any]:
    return {"Payload": io.BytesIO(json.dumps(result).encode()), **more}


def run(account: Any, *command: str) -> tuple[int, str]:
    return operate.run(account, DEV, list(command))


def test_invokes_the_environments_function_and_returns_its_output() -> None:
    account = FakeAccount(answer({"exit_code": 0, "output": "It has settled.\n"}))
    assert run(account, "payment", "42") == (0, "It has settled.\n")
    [request] = account.asked
    assert request["FunctionName"] == "paybridge-dev-operate"
    assert json.loads(request["Payload"]) == {"arguments": ["payment", "42"]}


def test_a_missing_stack_is_reported() -> None:
    refusal = ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "Invoke")
    with pytest.raises(InputMissingError, match=r"paybridge-dev-operate .*ResourceNotFound.*deploy dev first"):
        run(FakeAccount(refusal), "payment", "42")


def test_a_function_without_an_answer_is_reported() -> None:
    with pytest.raises(InputMissingError, match="does not answer"):
        run(FakeAccount(EndpointConnectionError(endpoint_url="http://127.0.0.1:9")), "payment", "42")


def test_a_failed_function_is_reported() -> None:
    failure = answer({"errorType": "DatabaseUnavailable"}, FunctionError="Unhandled")
    with pytest.raises(InputMissingError, match=r"DatabaseUnavailable.*log"):
        run(FakeAccount(failure), "payment", "42")


class TestWithBody:
    """The function cannot read a file of this machine."""

    def test_what_a_file_holds_takes_the_place_of_its_name(self, tmp_path: Path) -> None:
        file = tmp_path / "order.json"
        file.write_bytes(b'{"amount": 1}\xff')
        for given in (["--file", str(file)], [f"--file={file}"]):
            command = operate.with_body(["publish", "--json", *given])
            assert command[:-1] == ["publish", "--json"]
            assert base64.b64decode(command[-1].removeprefix("--body=")) == file.read_bytes()

    def test_standard_input_is_read_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
        assert operate.with_body(["publish", "--file", "-"]) == ["publish", "--body=e30="]

    def test_a_statement_of_this_machine_is_read_here(self, tmp_path: Path) -> None:
        file = tmp_path / "statement.csv"
        file.write_bytes(b"\xef\xbb\xbfid,amount\n")
        for given in (["--date", "2026-11-28", str(file)], [str(file), "--date=2026-11-28"]):
            command = operate.with_body(["reconcile", "import", *given, "--json"])
            assert command[:-1] == ["reconcile", "import", "--date=2026-11-28", "--json"]
            assert base64.b64decode(command[-1].removeprefix("--body=")) == file.read_bytes()

    def test_other_commands_stay_as_they_are(self) -> None:
        for command in (
            ["publish", "--amount", "1.00"],
            ["payments", "list", "--file", "x"],
            ["reconcile", "import", "--date", "2026-11-28"],
            ["reconcile", "show", "2026-11-28"],
            [],
        ):
            assert operate.with_body(command) == command

    def test_a_file_that_is_missing_or_too_large_is_explained(self, tmp_path: Path) -> None:
        with pytest.raises(InputMissingError, match="cannot be read: No such file"):
            operate.with_body(["publish", "--file", str(tmp_path / "none")])
        large = tmp_path / "large"
        large.write_bytes(bytes(operate.BODY_BYTES_MAX + 1))
        with pytest.raises(InputMissingError, match="more than an invocation takes"):
            operate.with_body(["publish", "--file", str(large)])


class TestWithoutChart:
    def test_the_function_prints_what_is_written_here(self) -> None:
        command = ["analytics", "plot", "--svg", "days.svg", "--currency", "EUR"]
        assert operate.without_chart(command) == (
            ["analytics", "plot", "--currency", "EUR", "--svg", "-"],
            Path("days.svg"),
        )

    def test_other_commands_stay_as_they_are(self) -> None:
        for command in (["analytics", "plot"], ["analytics", "plot", "--svg", "-"], ["publish", "--svg", "x"]):
            assert operate.without_chart(command) == (command, None)

    def test_the_chart_is_kept_in_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        account = FakeAccount(answer({"exit_code": 0, "output": "<svg/>\n"}))
        monkeypatch.setattr(operate, "Account", lambda _: account)
        target = tmp_path / "days.svg"
        assert operate.main(["dev", "analytics", "plot", "--svg", str(target)]) == 0
        assert target.read_text(encoding="utf-8") == "<svg/>\n"
        assert capsys.readouterr().out == f"Wrote {target}.\n"
        account.answer = answer({"exit_code": 0, "output": "<svg/>\n"})
        assert operate.main(["dev", "analytics", "plot", "--svg", str(tmp_path / "none" / "days.svg")]) == 1
        assert "cannot be written" in capsys.readouterr().err


def test_without_an_environment_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert operate.main([]) == 1
    assert "ENVIRONMENT=dev" in capsys.readouterr().err
