"""Settings: what comes with the suite can be read, and what is wrong in a file is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from examples.conformance.settings import DEFAULTS, Unusable, load

REQUEST: dict[str, Any] = {"path": "/things", "json": {"amount": "1.00"}, "changed": {"amount": "2.00"}}

WRONG: dict[str, tuple[Any, str]] = {
    "no table": ([], "must be a table"),
    "nothing": ({}, "`request` is missing"),
    "no path": ({"request": {"json": {"a": 1}, "changed": {"a": 2}}}, "`request.path` is missing"),
    "a relative path": ({"request": {**REQUEST, "path": "things"}}, "`request.path` must begin with a slash"),
    "no members": ({"request": {"path": "/", "changed": {"a": 1}}}, "either `json` or `form`"),
    "members twice": ({"request": {**REQUEST, "form": {"a": "1"}}}, "either `json` or `form`"),
    "no change": ({"request": {**REQUEST, "changed": {"amount": "1.00"}}}, "`request.changed` must change a member"),
    "a number in a form": ({"request": {"path": "/", "form": {"a": 1}}}, "`request.form` must be a table of texts"),
    "a header of two lines": ({"request": {**REQUEST, "headers": {"A": "b\nC: d"}}}, "`request.headers` must be"),
    "a misspelled member": ({"request": {**REQUEST, "headres": {}}}, "`request.headres` is unknown"),
    "a misspelled table": ({"request": REQUEST, "ressource": {}}, "`ressource` is unknown"),
    "a text for a flag": ({"request": REQUEST, "keys": {"required": "no"}}, "`keys.required` must be true or false"),
    "a flag for a number": ({"request": REQUEST, "run": {"requests": True}}, "`run.requests` must be a whole number"),
    "one request": ({"request": REQUEST, "run": {"requests": 1}}, "`run.requests` must be 2 to 200"),
    "no time": ({"request": REQUEST, "run": {"timeout_seconds": 0}}, "the times in `run` must be above zero"),
    "a key with a line": ({"request": REQUEST, "keys": {"malformed": ["\n"]}}, "`keys.malformed` must be a list"),
    "a rule that is none": ({"request": REQUEST, "skip": {"reuse": "because"}}, "`skip.reuse` names no rule"),
    "no reason": ({"request": REQUEST, "skip": {"new-key": 1}}, "`skip` must be a table of texts"),
}


class TestLoad:
    @pytest.mark.parametrize("file", sorted(DEFAULTS.parent.glob("*.toml")), ids=lambda file: file.name)
    def test_reads_the_settings_that_come_with_the_suite(self, file: Path) -> None:
        settings = load(file)
        assert "{key}" in "".join(settings.headers.values())
        assert "{marker}" in json.dumps(dict(settings.members))

    def test_reads_json(self, tmp_path: Path) -> None:
        file = tmp_path / "settings.json"
        file.write_text(json.dumps({"request": REQUEST, "keys": {"required": False}}))
        settings = load(file)
        assert (settings.method, settings.path, settings.key_required) == ("POST", "/things", False)

    @pytest.mark.parametrize("name", WRONG)
    def test_names_what_is_wrong(self, tmp_path: Path, name: str) -> None:
        content, sentence = WRONG[name]
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(content))
        with pytest.raises(Unusable) as refused:
            load(file)
        assert sentence in str(refused.value)
        assert str(file) in str(refused.value)

    @pytest.mark.parametrize(("name", "kind"), [("a.toml", "TOML"), ("a.json", "JSON")])
    @pytest.mark.parametrize("content", [b"[", b"\xff"])
    def test_names_a_file_that_cannot_be_parsed(self, tmp_path: Path, name: str, kind: str, content: bytes) -> None:
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(Unusable, match=f"are not {kind}"):
            load(file)
