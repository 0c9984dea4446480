"""The files that describe events: complete, valid, and never changed once they are published."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from paybridge.core import events
from paybridge.core.event_schemas import NEWEST_VERSION, SHARED, event_schema, event_types, read_schema
from tests.support.event_schemas import FOLDER, changed_files, digests

PUBLISHED = json.loads((FOLDER / "published.json").read_text())
FACTS = {
    value
    for name, value in vars(events).items()
    if name.isupper()
    and isinstance(value, str)
    and re.fullmatch(r"(payment|refund|charge|payout|webhook(_endpoint)?|reconciliation)\.[a-z_]+", value)
}
VERSIONS = range(1, NEWEST_VERSION + 1)


class TestFiles:
    def test_every_fact_has_a_schema(self) -> None:
        assert set(event_types()) == FACTS

    def test_every_folder_is_a_version(self) -> None:
        assert {folder.name for folder in FOLDER.glob("v*")} == {f"v{version}" for version in VERSIONS}

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_type_stays_in_later_versions(self, version: int) -> None:
        assert set(event_types(version)) <= set(event_types())

    @pytest.mark.parametrize("type_", event_types())
    def test_each_is_a_valid_schema_of_its_type(self, type_: str) -> None:
        schema = event_schema(type_)
        Draft202012Validator.check_schema(schema)
        assert schema["properties"]["type"] == {"type": "string", "const": type_}
        assert schema["required"] == ["type", "timestamp", "data"]
        assert "sequence" in json.dumps(schema["properties"]["data"])
        words = re.split(r"[._]", type_)
        assert schema["title"] == "".join(word.capitalize() for word in words) + "Event"

    @pytest.mark.parametrize("name", [*SHARED, *event_types()])
    def test_each_refers_to_its_own_version_only(self, name: str) -> None:
        references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(read_schema(name)))
        assert {reference for reference in references if not reference.startswith("#")} <= {
            f"{shared}.json" for shared in SHARED
        }


class TestPublished:
    def test_no_file_has_changed(self) -> None:
        changed = changed_files(PUBLISHED)
        assert not changed, (
            "Receivers rely on published schemas: describe what has changed in a new version, and record its files in "
            f"published.json: {json.dumps({path: digest for path, digest in digests().items() if path in changed})}"
        )

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("payment", lambda schema: schema["properties"].pop("customer")),
            ("payment", lambda schema: schema["properties"].update(fee={"type": "string"})),
            ("payment", lambda schema: schema["required"].remove("metadata")),
            ("payment", lambda schema: schema["properties"].pop("description")),
            ("refund", lambda schema: schema["properties"]["status"]["enum"].append("lost")),
            ("payment.failed", lambda schema: schema["properties"]["type"].update(const="payment.lost")),
        ],
        ids=["a member less", "a member more", "not required", "a member like an annotation", "a state", "a type"],
    )
    def test_a_change_needs_a_new_version(self, name: str, change: Any, tmp_path: Path) -> None:
        file = copied(tmp_path) / f"v1/{name}.json"
        schema = json.loads(file.read_text())
        change(schema)
        file.write_text(json.dumps(schema))
        assert changed_files(PUBLISHED, tmp_path) == {f"v1/{name}.json"}

    def test_a_file_that_is_gone_or_new_is_noticed(self, tmp_path: Path) -> None:
        folder = copied(tmp_path)
        (folder / "v1/refund.failed.json").rename(folder / "v1/refund.lost.json")
        assert changed_files(PUBLISHED, tmp_path) == {"v1/refund.failed.json", "v1/refund.lost.json"}

    def test_words_and_white_space_may_be_improved(self, tmp_path: Path) -> None:
        file = copied(tmp_path) / "v1/payment.json"
        schema = json.loads(file.read_text())
        schema["description"] = "In other words."
        schema["properties"]["amount"]["description"] = "The money."
        file.write_text(json.dumps(schema))
        assert not changed_files(PUBLISHED, tmp_path)


def copied(folder: Path) -> Path:
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    return folder
