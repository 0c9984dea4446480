"""The time of the jobs function is shared by what it works on, first come first served."""

from __future__ import annotations

from uuid import UUID

import pytest

from paybridge.webhooks import job_time
from paybridge.webhooks.job_time import within

IDS = [UUID(int=number) for number in range(4)]


class TestWithin:
    def test_each_gets_what_the_others_have_left_and_the_late_ones_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter([100.0, 100.0, 104.0, 110.0])
        monkeypatch.setattr(job_time.time, "monotonic", lambda: next(clock))
        assert list(within(10.0, IDS)) == [(IDS[0], 10.0), (IDS[1], 6.0)]

    def test_without_anything_to_do_it_ends(self) -> None:
        assert list(within(10.0, [])) == []
