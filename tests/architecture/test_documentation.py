"""What the documentation names is there: the targets of links, and the files that the prose mentions."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.template import ROOT

# Pages shorten paths below these folders.
PLACES = (ROOT, ROOT / "layers/paybridge/paybridge", ROOT / "infra/terraform", ROOT / "infra/terraform/platform")
LINK = re.compile(r"\]\((?!<)([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
# A path of a file, with or without the folder in front that all files of the layer share.
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)+\.(?:py|md|tf|json|yaml|toml|lock|txt|mako|svg)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Written when it is needed, or not part of a clone.
GENERATED = ("bench/results/", ".local/")


def pages() -> list[Path]:
    """Every Markdown page of the repository."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines()]


def anchors(page: str) -> set[str]:
    """The anchors that GitHub makes of the page's headings."""
    texts = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(page))
    return {text.strip().replace(" ", "-") for text in texts}


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Links of the page to files or headings that do not exist."""
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield f"{target}: no such heading"


def missing_files(text: str) -> Iterator[str]:
    """Files that the text names in code spans and that do not exist."""
    for span in CODE.findall(text):
        name = span.strip()
        if not FILE.fullmatch(name) or name.startswith(GENERATED):
            continue
        if not any((place / name).exists() for place in PLACES):
            yield name


def posts_without_a_type(text: str) -> Iterator[str]:
    """Calls of the API by curl that send a body without its content type, which the API refuses with 415."""
    for line in text.replace("\\\n", " ").splitlines():
        is_post = re.search(r"\bcurl\b.* -d ", line) and re.search(r"/api/v1|\$OPS", line)
        if is_post and not re.search(r"Content-Type: application/json|\$JSON", line):
            yield line.strip()


class TestPages:
    @pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
    def test_links_lead_somewhere(self, page: Path) -> None:
        assert list(broken_links(page, page.read_text(encoding="utf-8"))) == []

    @pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
    def test_files_exist(self, page: Path) -> None:
        assert list(missing_files(page.read_text(encoding="utf-8"))) == []

    @pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
    def test_posts_name_their_content_type(self, page: Path) -> None:
        assert list(posts_without_a_type(page.read_text(encoding="utf-8"))) == []


class TestPlantedViolations:
    PAGE = ROOT / "docs/README.md"

    @pytest.mark.parametrize("link", ["[x](gone.md)", "[x](merchants/webhooks.md#gone)", "[x](#gone)"])
    def test_a_broken_link_is_found(self, link: str) -> None:
        assert list(broken_links(self.PAGE, link))

    @pytest.mark.parametrize("name", ["payments/gone.py", "docs/gone.md"])
    def test_a_missing_file_is_found(self, name: str) -> None:
        assert list(missing_files(f"See `{name}`.")) == [name]

    def test_a_post_without_its_type_is_found(self) -> None:
        assert list(posts_without_a_type("curl -i \\\n  \"$API/api/v1/payments\" -d '{}'"))


def test_the_image_of_the_workers_has_the_boto3_of_the_tests() -> None:
    page = (ROOT / "docs/operators/workers.md").read_text(encoding="utf-8")
    lock = (ROOT / "requirements/dev.lock").read_text(encoding="utf-8")
    [version] = re.findall(r"pip install --no-cache-dir (boto3==\S+)", page)
    assert f"{version} " in lock
