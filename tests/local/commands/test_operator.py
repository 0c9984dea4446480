"""Which Paybridge the operator's command works on."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from infra import operate
from local.commands import operator
from local.commands.operator import NAMING
from local.servers.processes import write_pid_file
from local.settings import PROJECT, PYTHON_PATH, VARIABLES, LocalSettings
from paybridge import cli

Output = pytest.CaptureFixture[str]
PAYMENT = ["payment", "01a1fd50-1a0a-70e7-9753-804a71418b4e"]


@pytest.fixture(autouse=True)
def unnamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Name no environment, and no stack but the one in this folder."""
    for name in (*NAMING, *VARIABLES.values(), "ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PAYBRIDGE_LOCAL_STATE_DIR", str(tmp_path))


class TestMain:
    def test_says_what_to_do_when_nothing_runs_and_no_environment_is_named(self, capsys: Output) -> None:
        assert operator.main(PAYMENT) == 1
        assert capsys.readouterr().err == (
            "Nothing is running. Start the stack with `make up`, or name an environment, as in --environment dev.\n"
        )

    def test_explains_wrong_arguments_without_a_stack(self, capsys: Output) -> None:
        assert operator.main(["payment", "42"]) == cli.UNUSABLE
        assert "'42' is not the id of a payment" in capsys.readouterr().err

    def test_runs_in_the_function_operate_of_an_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ENVIRONMENT", "dev")
        commands = []
        monkeypatch.setattr(operate, "main", lambda arguments: commands.append(arguments) or 3)
        assert operator.main(PAYMENT) == 3
        assert commands == [["dev", *PAYMENT]]

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--environment", "dev", *PAYMENT],
            [*PAYMENT, "--environment=dev"],
            [PAYMENT[0], "--environment", "dev", PAYMENT[1]],
        ],
    )
    def test_an_option_names_the_environment_too(self, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ENVIRONMENT", "another")
        commands = []
        monkeypatch.setattr(operate, "main", lambda arguments: commands.append(arguments) or 0)
        assert operator.main(arguments) == 0
        assert commands == [["dev", *PAYMENT]]

    @pytest.mark.parametrize("words", ["paybridge pub", "paybridge --environment prod pub"])
    def test_completions_are_answered_here_whatever_the_environment(
        self, words: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        monkeypatch.setattr(operate, "main", lambda _: pytest.fail("asked AWS"))
        monkeypatch.setenv("ENVIRONMENT", "prod")
        monkeypatch.setenv("_PAYBRIDGE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        with suppress(SystemExit):
            operator.main([])
        assert capsys.readouterr().out == "publish\n"

    @pytest.mark.parametrize("arguments", [["--help"], ["payments", "list", "--help"]])
    def test_help_is_answered_here_whatever_the_environment(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        monkeypatch.setattr(operate, "main", lambda _: pytest.fail("asked AWS"))
        monkeypatch.setenv("ENVIRONMENT", "prod")
        assert operator.main(arguments) == 0
        assert capsys.readouterr().out.startswith("Usage: paybridge")

    def test_the_help_names_the_option_for_environments(self, capsys: Output) -> None:
        assert operator.main(["--help"]) == 0
        assert "--environment NAME" in capsys.readouterr().out

    @pytest.mark.parametrize("command", [["token"], ["clock", "advance", "1h"]])
    @pytest.mark.parametrize("variable", ["ENVIRONMENT", "DATABASE_HOST"])
    def test_what_only_the_local_stack_has_is_refused_elsewhere(
        self, command: list[str], variable: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        monkeypatch.setenv(variable, "dev")
        assert operator.main(command) == cli.UNUSABLE
        assert capsys.readouterr().err == f"`paybridge {command[0]}` works on the local stack alone.\n"

    @pytest.mark.parametrize("command", [["token"], ["clock", "advance", "1h"]])
    def test_what_only_the_local_stack_has_needs_a_running_one(self, command: list[str], capsys: Output) -> None:
        assert operator.main(command) == 1
        assert capsys.readouterr().err.startswith("Nothing is running.")

    @pytest.mark.parametrize("name", sorted(NAMING))
    def test_leaves_the_variables_of_a_named_environment_alone(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "elsewhere")
        prepared = []
        monkeypatch.setattr(cli, "main", lambda _, prepare=None: prepared.append(prepare) or 0)
        assert operator.main(["worker", "relay"]) == 0
        assert prepared == [None]

    def test_ends_quietly_when_the_reader_of_its_output_leaves(self) -> None:
        program = (
            "from paybridge import cli\n"
            "cli.main = lambda *_, **__: print('line\\n' * 100_000) or 0\n"
            "from local.commands import operator\n"
            "raise SystemExit(operator.main(['dead-letters', 'list']))"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=PROJECT,
            env={**os.environ, "DATABASE_HOST": "named", "PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "line\n"
            process.stdout.close()
            assert (process.stderr.read(), process.wait(30)) == ("", 0)

    def test_takes_the_ports_of_the_running_stack(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        write_pid_file(tmp_path, "postgres", psutil.Process())
        LocalSettings(state_dir=tmp_path, postgres_port=1234, aws_port=4321, amqp_port=5673).record()
        variables: dict[str, str] = {}
        monkeypatch.setattr(os, "environ", {**os.environ})

        def run(_: object, prepare: object, add_commands: object) -> int:
            assert callable(prepare)
            prepare()
            variables.update(os.environ)
            return 0

        monkeypatch.setattr(cli, "main", run)
        # The clock of this process is that of the other tests too.
        monkeypatch.setattr(operator, "keep_stack_time", lambda _: None)
        assert operator.main(PAYMENT) == 0
        assert (variables["DATABASE_PORT"], variables["AWS_ENDPOINT_URL"]) == ("1234", "http://127.0.0.1:4321")
        assert variables["BROKER_URL"] == "amqp://127.0.0.1:5673"
