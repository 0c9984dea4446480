"""Links to documentation in errors: in a header or in the body, and whether they lead somewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.conformance.api import Answer, Api
from examples.conformance.links import leads_somewhere, link_of
from examples.conformance.settings import load
from tests.support.idempotent_server import SETTINGS, IdempotentServer, serving

PAGE = "https://developer.example.com/idempotency"

HEADERS = {
    "the draft's example": f'<{PAGE}>; rel="describedby"; type="text/html"',
    "another order": f'<{PAGE}>; type="text/html"; rel="describedby"',
    "no quotation marks": f"<{PAGE}>;rel=describedby",
    "several relations": f'<{PAGE}>; rel="alternate describedby"',
    "the second of two": f'</style.css>; rel="preload", <{PAGE}>; rel="describedby"',
    "a link for help": f'<{PAGE}>; rel="help"',
}
BODIES: dict[str, Any] = {
    "the draft's example": {"type": PAGE, "title": "Idempotency-Key is missing"},
    "a nested member": {"error": {"code": "idempotency", "doc_url": PAGE}},
    "a text": {"message": f"Send the header (see <{PAGE}>)."},
}
NONE: dict[str, tuple[str, Any]] = {
    "another relation": (f'<{PAGE}>; rel="next"', None),
    "a URN": ("", {"type": "urn:paybridge:problem:idempotency_key_missing", "title": "Bad Request"}),
    "about:blank": ("", {"type": "about:blank"}),
    "what the problem is about": ("", {"instance": "https://api.example.com/payments/1"}),
    "no JSON": ("", None),
}


def error(link: str = "", body: Any = None, url: str = "https://api.example.com/things") -> Answer:
    content = b"" if body is None else json.dumps(body).encode()
    return Answer(400, httpx.Headers({"link": link} if link else {}), content, url)


class TestLinkOf:
    @pytest.mark.parametrize("name", HEADERS)
    def test_finds_the_header(self, name: str) -> None:
        assert link_of(error(HEADERS[name])) == PAGE

    @pytest.mark.parametrize("name", BODIES)
    def test_finds_a_url_in_the_body(self, name: str) -> None:
        assert link_of(error(body=BODIES[name])) == PAGE

    def test_a_type_may_be_relative(self) -> None:
        assert link_of(error(body={"type": "/problems/idempotency"})) == "/problems/idempotency"

    @pytest.mark.parametrize("name", NONE)
    def test_other_links_are_no_documentation(self, name: str) -> None:
        assert link_of(error(*NONE[name])) is None


class TestLeadsSomewhere:
    @pytest.fixture
    def server(self) -> Iterator[IdempotentServer]:
        with serving() as server:
            yield server

    @pytest.fixture
    def api(self, server: IdempotentServer, tmp_path: Path) -> Iterator[Api]:
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(SETTINGS))
        with closing(Api(server.url, "one", load(file))) as api:
            yield api

    def test_a_page_of_the_api_is_read(self, api: Api) -> None:
        assert leads_somewhere(api, error('</docs>; rel="describedby"', url=api.url + "/things")) == (True, "/docs")

    def test_a_page_that_is_not_there_is_no_documentation(self, api: Api) -> None:
        answer = error('</guide>; rel="describedby"', url=api.url + "/things")
        assert leads_somewhere(api, answer) == (False, "/guide answers 404")

    def test_a_page_of_another_server_is_not_asked_for(self, api: Api) -> None:
        link = "http://127.0.0.1:1/docs"
        assert leads_somewhere(api, error(f'<{link}>; rel="describedby"')) == (True, link)

    def test_an_error_without_a_link_has_none(self, api: Api) -> None:
        has_link, seen = leads_somewhere(api, error())
        assert not has_link
        assert "neither a `Link`" in seen
