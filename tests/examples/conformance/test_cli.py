"""The command: exit codes, what it prints, and one sentence for each way in which it cannot be used."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.conformance import cli
from examples.conformance.cli import main
from examples.conformance.rules import DRAFT, RULES
from local.settings import PROJECT
from local.testkit.servers import free_port
from tests.support.idempotent_server import SETTINGS, serving

Output = pytest.CaptureFixture[str]

FOLDER = PROJECT / "examples/conformance"


@pytest.fixture(autouse=True)
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONFORMANCE_KEY", raising=False)
    monkeypatch.delenv("CONFORMANCE_OTHER_KEY", raising=False)


def written(folder: Path, settings: Any) -> str:
    file = folder / "settings.json"
    file.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return str(file)


@pytest.fixture
def config(tmp_path: Path) -> str:
    return written(tmp_path, SETTINGS)


class TestMain:
    def test_prints_a_row_for_each_rule_and_the_numbers(self, config: str, capsys: Output) -> None:
        with serving() as server:
            assert main([server.url, "--key", "one", "--config", config]) == cli.KEPT
        *rows, _, numbers = capsys.readouterr().out.splitlines()
        assert [row.split()[1] for row in rows[1:]] == [rule.id for rule in RULES]
        assert numbers.endswith(f"{len(RULES)} kept, 0 broken, 0 not applicable, of {len(RULES)} rules of {DRAFT}")

    def test_names_what_is_broken_and_exits_with_1(self, config: str, capsys: Output) -> None:
        with serving("reused-key-422") as server:
            assert main([server.url, "--key", "one", "--config", config]) == cli.BROKEN
        output = capsys.readouterr().out
        assert re.search(r"^broken +reused-key-422 +SHOULD +2\.7 +answered 409", output, re.MULTILINE)
        assert "  SHOULD 2.7  reused-key-422: A key with another payload is answered 422.\n" in output

    def test_prints_json(self, config: str, capsys: Output) -> None:
        with serving("retry-same-answer") as server:
            assert main([server.url, "--key", "one", "--config", config, "--json"]) == cli.BROKEN
        document = json.loads(capsys.readouterr().out)
        assert (document["draft"], document["url"], document["broken"]) == (DRAFT, server.url, 1)
        [broken] = [rule for rule in document["rules"] if rule["verdict"] == "broken"]
        assert broken == {
            "id": "retry-same-answer",
            "level": "SHOULD",
            "section": "2.6",
            "sentence": "A retry gets the status and the body of the first answer.",
            "verdict": "broken",
            "seen": "202 with another body",
        }

    def test_a_rule_that_the_settings_leave_out_is_not_broken(self, tmp_path: Path, capsys: Output) -> None:
        config = written(tmp_path, {**SETTINGS, "skip": {"reused-key-422": "older clients expect 409"}})
        with serving("reused-key-422") as server:
            assert main([server.url, "--key", "one", "--config", config]) == cli.KEPT
        assert "left out by the settings: older clients expect 409" in capsys.readouterr().out

    def test_takes_the_keys_from_the_environment(self, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONFORMANCE_KEY", "one")
        monkeypatch.setenv("CONFORMANCE_OTHER_KEY", "two")
        with serving() as server:
            assert main([server.url, "--config", config]) == cli.KEPT
            assert {thing["caller"] for thing in server.things} == {"one", "two"}


class TestUnusable:
    def unusable(self, capsys: Output, *arguments: str) -> str:
        """Run the command, and return the one sentence in which it says that it cannot be used."""
        assert main(arguments) == cli.UNUSABLE
        output, errors = capsys.readouterr()
        assert output == ""
        assert len(errors.splitlines()) == 1
        return errors

    def test_no_url(self, capsys: Output) -> None:
        assert "make conformance URL=http://127.0.0.1:8000 KEY=secret-api-key" in self.unusable(capsys, "")

    @pytest.mark.parametrize(
        "url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://[::1", "http://a:x", "x\n"]
    )
    def test_a_url_that_is_none(self, capsys: Output, url: str) -> None:
        assert "is no base URL of an API" in self.unusable(capsys, url, "--key", "one")

    def test_no_key(self, capsys: Output) -> None:
        assert "Name it: KEY=" in self.unusable(capsys, "http://127.0.0.1:1")

    @pytest.mark.parametrize("key", ["ключ", "one\r\nX-Role: admin"])
    def test_a_key_that_no_header_can_hold(self, capsys: Output, key: str) -> None:
        assert "KEY has a character that no header may hold" in self.unusable(
            capsys, "http://127.0.0.1:1", "--key", key
        )

    def test_nothing_listens_there(self, capsys: Output) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        assert f"{url} does not answer" in self.unusable(capsys, url, "--key", "one")

    def test_a_server_that_says_nothing(self, capsys: Output, tmp_path: Path) -> None:
        config = written(tmp_path, {**SETTINGS, "run": {"timeout_seconds": 1}})
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            assert "does not answer" in self.unusable(capsys, url, "--key", "one", "--config", config)

    def test_a_key_that_the_api_does_not_know(self, capsys: Output, config: str) -> None:
        with serving() as server:
            said = self.unusable(capsys, server.url, "--key", "three", "--config", config)
        assert said == "POST /things was answered 401: the API does not know this KEY, or it may not do this.\n"

    def test_a_request_that_the_api_does_not_accept(self, capsys: Output, tmp_path: Path) -> None:
        request = {**SETTINGS["request"], "json": {"amount": "-5", "marker": "{marker}"}}
        config = written(tmp_path, {**SETTINGS, "request": request})
        with serving() as server:
            said = self.unusable(capsys, server.url, "--key", "one", "--config", config)
        assert said == (
            "POST /things, the first request, was answered 422: Refused. Correct URL, or `request` in the settings.\n"
        )

    def test_a_path_that_is_not_there(self, capsys: Output, config: str) -> None:
        with serving() as server:
            said = self.unusable(capsys, f"{server.url}/nowhere", "--key", "one", "--config", config)
        assert "was answered 404: Refused. Correct URL" in said

    def test_an_answer_without_the_id(self, capsys: Output, tmp_path: Path) -> None:
        config = written(tmp_path, {**SETTINGS, "resource": {"id": "thing.id"}})
        with serving() as server:
            said = self.unusable(capsys, server.url, "--key", "one", "--config", config)
        assert "has no member thing.id. Correct `resource.id`" in said

    def test_a_list_that_is_none(self, capsys: Output, tmp_path: Path) -> None:
        config = written(tmp_path, {**SETTINGS, "resource": {"list": "/things?marker={marker}", "items": "things"}})
        with serving() as server:
            said = self.unusable(capsys, server.url, "--key", "one", "--config", config)
        assert "without a list in `resource.items` (things)" in said

    def test_settings_that_are_not_there(self, capsys: Output, tmp_path: Path) -> None:
        said = self.unusable(capsys, "http://127.0.0.1:1", "--config", str(tmp_path / "no.toml"))
        assert said.endswith("no.toml cannot be read: No such file or directory.\n")


class TestFolder:
    def test_it_can_be_copied_and_run_under_another_name(self, tmp_path: Path, config: str) -> None:
        (tmp_path / "idempotency").symlink_to(FOLDER)
        with serving() as server:
            command = [sys.executable, "-m", "idempotency", server.url, "--key", "one", "--config", config]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (cli.KEPT, "")

    def test_it_needs_httpx_and_rich_and_nothing_else(self) -> None:
        modules: set[str] = set()
        for file in FOLDER.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    modules |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    modules.add(str(node.module).partition(".")[0])
        assert modules - sys.stdlib_module_names == {"httpx", "rich"}
