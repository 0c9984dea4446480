"""Hold events against the files that describe them, and the files against what was published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from paybridge.core.event_schemas import NEWEST_VERSION, Schema, event_schema, event_types
from paybridge.core.events import Event, parse_envelope
from paybridge.core.times import format_time
from paybridge.database.database import Database, Statement
from paybridge.webhooks.domain.webhook import build_body

FOLDER = Path(str(files("paybridge.core").joinpath("schemas")))
# Words for people, which may be improved at any time.
_ANNOTATIONS = frozenset({"$comment", "description", "examples"})


def check_event(event: Event) -> None:
    """Assert that the event fits its type in every version, and that the newest version names all of its members."""
    body = json.loads(build_body(event.type, format_time(event.time), event.data, event.sequence or 0))
    check_body(body)


def check_body(body: Mapping[str, Any]) -> None:
    """Assert the same of what a webhook carries."""
    for version in range(1, NEWEST_VERSION + 1):
        # A type may be younger than a version.
        if body["type"] in event_types(version):
            _validate(event_schema(body["type"], version), body)
    _validate(_closed(event_schema(body["type"])), body)


def _closed(schema: Schema) -> Schema:
    """Return the schema without room for members that it does not name."""
    data = {**schema["properties"]["data"], "unevaluatedProperties": False}
    return {**schema, "properties": {**schema["properties"], "data": data}, "unevaluatedProperties": False}


def _validate(schema: Schema, body: Mapping[str, Any]) -> None:
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(body)


def digests(folder: Path = FOLDER) -> dict[str, str]:
    """The SHA-256 of what each file means, by its path in the folder."""
    return {
        f"{path.parent.name}/{path.name}": hashlib.sha256(_meaning(json.loads(path.read_text()))).hexdigest()
        for path in sorted(folder.glob("v*/*.json"))
    }


def _meaning(schema: Any) -> bytes:
    return json.dumps(_without_annotations(schema), sort_keys=True).encode()


def _without_annotations(schema: Any) -> Any:
    match schema:
        case {"properties": properties, **others}:
            # What is named like an annotation here is a member of the event.
            kept = {name: _without_annotations(member) for name, member in properties.items()}
            return {"properties": kept, **_without_annotations(others)}
        case dict():
            return {name: _without_annotations(value) for name, value in schema.items() if name not in _ANNOTATIONS}
        case list():
            return [_without_annotations(value) for value in schema]
        case _:
            return schema


def changed_files(published: Mapping[str, str], folder: Path = FOLDER) -> set[str]:
    """The files that differ from what was published, are gone, or were never recorded as published."""
    found = digests(folder)
    return {path for path in found.keys() | published.keys() if found.get(path) != published.get(path)}


# Some of each type, the newest ones. Tests that write rows themselves give them no envelope.
_EMITTED = Statement("""
    SELECT body FROM (
        SELECT body, row_number() OVER (PARTITION BY type ORDER BY id DESC) AS place
        FROM outbox WHERE sequence IS NOT NULL AND body LIKE '{"specversion"%'
    ) AS emitted
    WHERE place <= :each_max::integer
""")
EACH_MAX = 20


def check_emitted(database: Database) -> set[str]:
    """Assert that the events in the outbox are as their files say; return their types."""
    events = [parse_envelope(json.loads(body)) for (body,) in database.run(_EMITTED, each_max=EACH_MAX)]
    for event in events:
        check_event(event)
    return {event.type for event in events}
