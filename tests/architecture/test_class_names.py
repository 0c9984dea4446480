"""One class name means one thing in everything that runs in Lambda. A planted violation proves it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from local.settings import PROJECT

PRODUCT = (PROJECT / "functions", PROJECT / "layers/paybridge/paybridge")


def shared_class_names(sources: dict[str, str]) -> dict[str, list[str]]:
    """Return each class name that several of the sources define, or one of them twice, with where."""
    places: dict[str, list[str]] = defaultdict(list)
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def product_sources() -> dict[str, str]:
    files: list[Path] = [file for folder in PRODUCT for file in sorted(folder.rglob("*.py"))]
    assert files
    return {str(file.relative_to(PROJECT)): file.read_text(encoding="utf-8") for file in files}


class TestClassNames:
    def test_no_two_classes_share_a_name(self) -> None:
        assert shared_class_names(product_sources()) == {}

    def test_a_name_that_is_used_again_is_found(self) -> None:
        sources = {
            "a.py": "class Attempt: pass",
            "b.py": "def make():\n    class Attempt: pass",
            "c.py": "class Other: ...",
        }
        assert shared_class_names(sources) == {"Attempt": ["a.py", "b.py"]}
