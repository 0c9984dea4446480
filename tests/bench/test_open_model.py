"""The bench's open model: when requests are due, and how a stalled system shows."""

from __future__ import annotations

import random
from itertools import islice, pairwise

import pytest

from bench.open_model import Latencies, arrivals, percentiles


class TestArrivals:
    def test_even_ones_are_as_far_apart_as_the_rate_says(self) -> None:
        assert list(islice(arrivals(4, poisson=False, chance=random.Random(1)), 3)) == [0.25, 0.5, 0.75]

    def test_those_of_chance_keep_the_rate_and_not_the_gaps(self) -> None:
        due = list(islice(arrivals(100, poisson=True, chance=random.Random(1)), 10_000))
        assert due[-1] == pytest.approx(100, rel=0.03)
        gaps = [after - before for before, after in pairwise(due)]
        # A share of e⁻¹ of memoryless gaps is longer than the mean.
        assert sum(gap > 0.01 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02)


class TestCoordinatedOmission:
    def test_a_second_of_standstill_is_seen_by_all_who_were_due_in_it(self) -> None:
        """Simulate a server that answers in 1 ms and stalls for a second. One connection asks 100 times a second."""
        latencies, free = Latencies(), 0.0
        for number, due in enumerate(islice(arrivals(100, poisson=False, chance=random.Random(1)), 1_000)):
            sent = max(due, free)
            free = sent + (1.0 if number == 500 else 0.001)
            latencies.add(due, sent, free)
        corrected, closed = percentiles(latencies.since_due), percentiles(latencies.since_sent)
        assert closed[99] == pytest.approx(0.001)
        assert corrected[99] == pytest.approx(0.91, abs=0.05)
        assert corrected[90] == pytest.approx(0.09, abs=0.05)
        assert corrected[50] == pytest.approx(0.001)


class TestPercentiles:
    def test_are_values_that_were_measured(self) -> None:
        latencies = Latencies()
        for milliseconds in range(1, 2_001):
            latencies.add(0.0, 0.0, milliseconds / 1000)
        found = percentiles(latencies.since_due)
        assert found == {50.0: 1.0, 90.0: 1.8, 95.0: 1.9, 99.0: 1.98, 99.9: 1.998, 100.0: 2.0}

    def test_of_nothing_are_none(self) -> None:
        assert percentiles(Latencies().since_due) == {}
