"""A strict reader of Prometheus' text format, by the grammar of its specification."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
_HELP = re.compile(rf"# HELP ({_NAME}) ((?:[^\\\n]|\\[\\n])*)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge)")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
_ESCAPE = re.compile(r"\\(.)")

Labels = frozenset[tuple[str, str]]


@dataclass(slots=True)
class Metric:
    """A metric as it was read."""

    kind: str
    meaning: str
    samples: dict[Labels, float] = field(default_factory=dict)


def parse(text: str) -> dict[str, Metric]:
    """Return the metrics by name. Raises AssertionError for anything that the format does not allow."""
    assert text.endswith("\n"), "the last line has no end"
    found: dict[str, Metric] = {}
    meaning: tuple[str, str] | None = None
    current = ""
    for line in text.splitlines():
        if match := _HELP.fullmatch(line):
            meaning = match[1], _unescaped(match[2])
        elif match := _TYPE.fullmatch(line):
            current = match[1]
            assert current not in found, f"{current} comes twice"
            assert meaning is not None, f"{current} has no help"
            assert meaning[0] == current, f"{current} has the help of {meaning[0]}"
            found[current] = Metric(match[2], meaning[1])
        else:
            match = _SAMPLE.fullmatch(line)
            assert match is not None, f"unreadable: {line!r}"
            assert match[1] == current, f"{match[1]} stands under {current}"
            labels = frozenset((name, _unescaped(value)) for name, value in _PAIR.findall(match[2] or ""))
            assert labels not in found[current].samples, f"twice: {line!r}"
            found[current].samples[labels] = float(match[3])
    for name, metric in found.items():
        assert metric.kind != "counter" or name.endswith("_total"), f"the counter {name} does not end with _total"
    return found


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], text)
