"""Prometheus' text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

The client library keeps its values in the process, of which Lambda runs many. What is left of it here is one function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from paybridge.operations.figures import Family

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(families: Iterable[Family]) -> str:
    """Return the families as Prometheus scrapes them."""
    return "".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    meaning = family.meaning.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {family.name} {meaning}\n# TYPE {family.name} {family.kind}\n"
    for sample in family.samples:
        yield f"{family.name}{_labels(sample.labels)} {sample.value}\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
