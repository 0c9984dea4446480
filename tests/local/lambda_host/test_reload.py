"""Edited code reaches running functions without losing an invocation."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.sam_template.definitions import FunctionDefinition, Template
from infra.sam_template.template import read_template
from local.bridge import reload
from local.bridge.reload import reload_edited_code
from local.lambda_host.code import Snapshot, changed_files, code_folders, snapshot
from local.lambda_host.host import LambdaHost
from local.lambda_host.model import InvocationResult
from local.testkit.live import eventually_async

CODE = """
import os
import time
from pathlib import Path
from shared import VALUE

def handler(event, context):
    if "held" in event:
        held = Path(event["held"])
        (held / str(os.getpid())).touch()
        while not (held / "released").exists():
            time.sleep(0.01)
    return {"value": VALUE, "answer": 1, "pid": os.getpid()}
"""


class World:
    """A host of two functions with one layer, whose code the test edits."""

    def __init__(self, folder: Path, definition: FunctionDefinition) -> None:
        self.functions, self.layer, self.held = folder / "functions", folder / "layer", folder / "held"
        self.held.mkdir()
        # How often the watcher has replaced what it found changed.
        self.reloads = 0
        for name in ("one", "two"):
            self.write(self.functions / name / "__init__.py", "")
            self.write(self.functions / name / "handler.py", CODE)
        self.write(self.layer / "shared.py", "VALUE = 1\n")
        template_file = folder / "template.yaml"
        template_file.write_text("Resources: {}\n")
        definitions = {
            name: replace(
                definition,
                logical_id=name,
                name=name,
                arn=f"arn:aws:lambda:eu-central-1:000000000000:function:{name}",
                handler=f"{name}.handler.handler",
                code_dir=self.functions,
                layer_dirs=(self.layer,),
                timeout_seconds=90,
                reserved_concurrency=1 if name == "one" else 2,
            )
            for name in ("one", "two")
        }
        self.host = LambdaHost(Template(template_file, "eu-central-1", definitions), logs_dir=folder / "logs")

    def write(self, path: Path, code: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        # Python takes a compiled file for that of a source of the same length and second.
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)

    def edit(self, name: str, code: str) -> None:
        self.write(self.functions / name / "handler.py", code)

    async def invoke(self, name: str, **event: Any) -> dict[str, Any]:
        result = await self.host.invoke(name, json.dumps(event).encode(), wait_seconds_max=20)
        answer: dict[str, Any] = json.loads(result.payload)
        return answer

    async def hold(self, name: str, count: int = 1) -> list[asyncio.Task[dict[str, Any]]]:
        """Begin invocations that run side by side and last until `release`."""
        tasks = [asyncio.create_task(self.invoke(name, held=str(self.held))) for _ in range(count)]
        await eventually_async(lambda: len(list(self.held.iterdir())) == count, f"{count} invocations at once")
        return tasks

    def release(self) -> None:
        (self.held / "released").touch()

    async def until(self, look: Callable[[dict[str, Any]], bool], name: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                answer = await self.invoke(name)
                if look(answer):
                    return answer
                await asyncio.sleep(0.05)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(reload, "_LOOK_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(reload, "_QUIET_SECONDS", 0.05)
    toy = read_template(Path(__file__).parents[2] / "support" / "lambda_functions" / "template.yaml").functions["Toy"]
    made = World(tmp_path, toy)
    seen = _event_of_first_look(monkeypatch)
    _count_reloads(made, monkeypatch)
    async with made.host as host:
        watching = asyncio.create_task(reload_edited_code(host, host.template.functions.values()))
        await asyncio.wait_for(seen.wait(), 10)
        yield made
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _event_of_first_look(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return an event that is set after the watcher's first snapshot: only a later edit is a change."""
    seen, loop = asyncio.Event(), asyncio.get_running_loop()

    def look(folders: Iterable[Path]) -> Snapshot:
        found = snapshot(folders)
        loop.call_soon_threadsafe(seen.set)
        return found

    monkeypatch.setattr(reload, "snapshot", look)
    return seen


def _count_reloads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_environments = world.host.reload

    async def replace_and_count(functions: Iterable[FunctionDefinition]) -> dict[str, InvocationResult | None]:
        results = await replace_environments(functions)
        world.reloads += 1
        return results

    monkeypatch.setattr(world.host, "reload", replace_and_count)


class TestReload:
    async def test_replaces_the_function_whose_code_was_edited_and_no_other(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        before = {name: await world.invoke(name) for name in ("one", "two")}
        world.edit("one", CODE.replace('"answer": 1', '"answer": 2'))
        after = await world.until(lambda answer: answer["answer"] == 2, "one")
        assert after["pid"] != before["one"]["pid"]
        assert (await world.invoke("two"))["pid"] == before["two"]["pid"]
        assert [record.message for record in caplog.records] == ["reloaded: one (changed: one/handler.py)"]

    async def test_replaces_every_function_when_the_layer_was_edited(self, world: World) -> None:
        for name in ("one", "two"):
            await world.invoke(name)
        world.write(world.layer / "shared.py", "VALUE = 22\n")
        for name in ("one", "two"):
            await world.until(lambda answer: answer["value"] == 22, name)

    async def test_lets_an_invocation_finish_with_the_code_it_began_with(self, world: World) -> None:
        before = await world.invoke("one")
        (long,) = await world.hold("one")
        world.edit("one", CODE.replace('"answer": 1', '"answer": 2'))
        await eventually_async(lambda: world.reloads, "the new code")
        world.release()
        assert await long == before
        after = await world.until(lambda answer: answer["answer"] == 2, "one")
        await eventually_async(lambda: not psutil.pid_exists(before["pid"]), "the end of the old environment")
        assert after["pid"] != before["pid"]

    async def test_loses_no_invocation(self, world: World) -> None:
        await world.invoke("one")
        answers = []
        for answer in range(2, 5):
            world.edit("one", CODE.replace('"answer": 1', f'"answer": {answer}'))
            for _ in range(20):
                answers.append((await world.invoke("one"))["answer"])
                await asyncio.sleep(0.05)
        await world.until(lambda answer: answer["answer"] == 4, "one")
        assert answers == sorted(answers)

    @pytest.mark.parametrize(
        ("code", "reason"),
        [("def handler(:\n", "UserCodeSyntaxError"), ("import missing_module\n", "missing_module")],
    )
    async def test_keeps_the_old_code_when_the_new_code_does_not_start(
        self, code: str, reason: str, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = await world.invoke("one")
        world.edit("one", code)
        await eventually_async(lambda: caplog.records, "a line in the log")
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.message.startswith("one keeps its old code, because the new code does not start: ")
        assert reason in record.message
        assert await world.invoke("one") == before
        world.edit("one", CODE.replace('"answer": 1', '"answer": 3'))
        await world.until(lambda answer: answer["answer"] == 3, "one")

    async def test_grows_again_after_code_that_was_mended_while_nothing_ran(self, world: World) -> None:
        await world.invoke("two")
        world.edit("two", "def handler(:\n")
        await eventually_async(lambda: world.reloads == 1, "an attempt with the broken code")
        pid = (await world.invoke("two"))["pid"]
        psutil.Process(pid).kill()
        await eventually_async(lambda: not psutil.pid_exists(pid), "the end of the last environment")
        world.edit("two", CODE)
        await eventually_async(lambda: world.reloads == 2, "the mended code is seen, with nothing to replace")
        assert (await world.invoke("two"))["answer"] == 1
        both = await world.hold("two", count=2)
        world.release()
        assert len({answer["pid"] for answer in await asyncio.gather(*both)}) == 2

    async def test_takes_new_code_for_a_function_that_has_not_run_yet(self, world: World) -> None:
        world.edit("two", CODE.replace('"answer": 1', '"answer": 2'))
        assert (await world.invoke("two"))["answer"] == 2

    async def test_says_what_an_edited_template_needs(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        world.host.template.path.write_text("Resources: {}\n# more\n")
        await eventually_async(lambda: caplog.records, "a line in the log")
        assert [record.message for record in caplog.records] == [
            "template.yaml has changed: `make down`, then `make up`, to apply it."
        ]


class TestSnapshot:
    def test_finds_what_is_new_gone_and_different(self, tmp_path: Path) -> None:
        for name in ("kept", "changed", "gone"):
            (tmp_path / f"{name}.py").write_text("1")
        before = snapshot([tmp_path])
        (tmp_path / "changed.py").write_text("22")
        (tmp_path / "gone.py").unlink()
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "new.md").write_text("3")
        changed = changed_files(before, snapshot([tmp_path]))
        assert {path.name for path in changed} == {"changed.py", "gone.py", "new.md"}

    def test_leaves_out_what_python_and_editors_write(self, tmp_path: Path) -> None:
        before = snapshot([tmp_path])
        (tmp_path / "__pycache__").mkdir()
        (tmp_path / "__pycache__" / "one.pyc").write_text("1")
        (tmp_path / ".one.py.swp").write_text("1")
        assert snapshot([tmp_path]) == before

    def test_of_a_folder_that_is_away_is_empty(self, tmp_path: Path) -> None:
        assert snapshot([tmp_path / "none"]) == {}


class TestCodeFolders:
    def test_are_the_functions_package_and_its_layers(self, world: World) -> None:
        function = world.host.template.functions["one"]
        assert code_folders(function) == [world.functions / "one", world.layer]
        assert code_folders(replace(function, handler="handler.handler")) == [world.functions, world.layer]
