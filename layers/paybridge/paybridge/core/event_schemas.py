"""The JSON Schemas of events, one file for each type and version (docs/decisions/0034-event-schemas.md).

`schemas/v2/payment.succeeded.json` describes what a webhook carries: type, timestamp and data. Files of a version share
others, such as `payment.json`, to which they refer by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

Schema = dict[str, Any]

# What the data of events is made of. The other files are named after the type of their event.
SHARED = ("payment", "refund", "webhook_endpoint", "operation", "charge", "payout")
NEWEST_VERSION = 2


def event_types(version: int = NEWEST_VERSION) -> list[str]:
    """Return the types of events that the version describes, sorted."""
    return sorted(_names(version).difference(SHARED))


def read_schema(name: str, version: int = NEWEST_VERSION) -> Schema:
    """Return the file of a type of event, or of one of `SHARED`, as it is."""
    schema: Schema = json.loads(_folder(version).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return schema


def event_schema(event_type: str, version: int = NEWEST_VERSION) -> Schema:
    """Return the schema of a type of event with all that it refers to, so that it stands on its own."""
    schema = read_schema(event_type, version)
    shared: Schema = {}
    for name in _names(version).intersection(SHARED):
        part = read_schema(name, version)
        shared |= {**part.pop("$defs", {}), name: part}
    return {**with_references(schema, {name: f"#/$defs/{name}" for name in SHARED}), "$defs": shared}


def with_references(schema: Any, references: Mapping[str, str]) -> Any:
    """Return the schema with other references to the `SHARED` files, by their names."""
    match schema:
        case {"$ref": str(file)} if file.removesuffix(".json") in references:
            return {"$ref": references[file.removesuffix(".json")]}
        case dict():
            return {name: with_references(value, references) for name, value in schema.items()}
        case list():
            return [with_references(value, references) for value in schema]
        case _:
            return schema


def _names(version: int) -> set[str]:
    return {entry.name.removesuffix(".json") for entry in _folder(version).iterdir()}


def _folder(version: int) -> Traversable:
    return files("paybridge.core").joinpath("schemas", f"v{version}")
