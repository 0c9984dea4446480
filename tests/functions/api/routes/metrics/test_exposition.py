"""The text format, byte by byte, and as a strict reader understands it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.routes.metrics.exposition import exposition
from paybridge.operations.figures import COUNTER, GAUGE, Family, Sample
from tests.support.prometheus import parse

TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from(["\\", '"', "\n"]), max_size=20)


class TestExposition:
    def test_it_is_written_as_the_specification_says(self) -> None:
        families = [
            Family("a_total", COUNTER, "What a\\ counts.\nMore.", [Sample(12, {})]),
            Family("b", GAUGE, "b.", [Sample(0.5, {"state": 'de"ad\\'}), Sample(0, {"state": "x\ny", "n": "1"})]),
        ]
        assert exposition(families) == (
            "# HELP a_total What a\\\\ counts.\\nMore.\n"
            "# TYPE a_total counter\n"
            "a_total 12\n"
            "# HELP b b.\n"
            "# TYPE b gauge\n"
            'b{state="de\\"ad\\\\"} 0.5\n'
            'b{state="x\\ny",n="1"} 0\n'
        )

    @given(meaning=TEXTS, labels=st.dictionaries(st.sampled_from(["a", "b"]), TEXTS), value=st.integers(0, 2**62))
    def test_any_text_is_read_back(self, meaning: str, labels: dict[str, str], value: int) -> None:
        text = exposition([Family("a", GAUGE, meaning, [Sample(value, labels)])])
        metric = parse(text.replace("\x85", "?").replace("\u2028", "?").replace("\u2029", "?"))["a"]
        if not {"\x85", "\u2028", "\u2029"} & set(text):
            assert (metric.meaning, metric.samples) == (meaning, {frozenset(labels.items()): float(value)})
