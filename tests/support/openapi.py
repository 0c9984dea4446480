"""Holds answers against an OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from local.testkit.api import Answer


class Contract:
    """An OpenAPI 3.1 document, by which answers are judged."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def operations(self) -> set[tuple[str, str]]:
        """Every (method, path template)."""
        return {(method.upper(), path) for path, item in self.document["paths"].items() for method in item}

    def check(self, method: str, template: str, answer: Answer) -> None:
        """Assert that status, code, media type, headers and body are as the document says."""
        responses = self.document["paths"][template][method.lower()]["responses"]
        assert str(answer.status) in responses, f"{method} {template} answered {answer.status}, which is not documented"
        response = responses[str(answer.status)]
        if answer.status >= 400:
            codes = {answer.json()["code"], *(error["code"] for error in answer.json()["errors"])}
            missing = {code for code in codes if f"`{code}`" not in response["description"]}
            assert not missing, f"{method} {template} answered {missing}, which the document does not list"
        media_type = answer.headers["content-type"]
        assert media_type in response["content"], f"{media_type} is not documented"
        values = [answer.json()] if media_type.endswith("json") else streamed_events(answer.body.decode())
        for value in values:
            self.check_schema(response["content"][media_type]["schema"], value)
        documented = {name.lower() for name in response.get("headers", {})}
        assert set(answer.headers) - {"content-type", "content-length"} <= documented

    def check_schema(self, schema: dict[str, Any], value: Any) -> None:
        """Asserts that the value fits the schema, in which references lead into the document."""
        # Components move to the root's $defs, so that the schema stands on its own.
        text = json.dumps({**schema, "$defs": self.document["components"]["schemas"]})
        standalone = json.loads(text.replace("#/components/schemas/", "#/$defs/"))
        Draft202012Validator(standalone, format_checker=FormatChecker()).validate(value)


def streamed_events(text: str) -> list[dict[str, str]]:
    """The server-sent events in an answer, by their fields."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    frames = [dict(line.split(": ", 1) for line in lines if not line.startswith(":")) for lines in blocks]
    return [frame for frame in frames if "data" in frame]
