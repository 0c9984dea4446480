"""What to do about months that are in the archive, or on their way there."""

from __future__ import annotations

import pytest

from paybridge.core.archived_months import AwayMonth, MonthsArchived

JANUARY, FEBRUARY, MARCH = AwayMonth("2024-01"), AwayMonth("2024-02"), AwayMonth("2024-03")
APRIL, MAY = AwayMonth("2024-04", is_leaving=True), AwayMonth("2024-05", is_leaving=True)


class TestMonthsArchived:
    @pytest.mark.parametrize(
        ("months", "message"),
        [
            (
                [JANUARY],
                "The facts of 2024-01 are archived. Order `paybridge archive restore 2024-01` and begin once they are "
                "restored.",
            ),
            (
                [JANUARY, FEBRUARY, MARCH],
                "The facts of 3 months from 2024-01 to 2024-03 are archived. Order `paybridge archive restore 2024-01`"
                ", and the others, and begin once they are restored.",
            ),
            ([APRIL], "The facts of 2024-04 are being archived. Try again once they are."),
            (
                [JANUARY, APRIL, MAY],
                "The facts of 2024-01 are archived. Order `paybridge archive restore 2024-01` and begin once they are "
                "restored. The facts of 2 months from 2024-04 to 2024-05 are being archived. Try again once they are.",
            ),
        ],
    )
    def test_it_says_what_to_do(self, months: list[AwayMonth], message: str) -> None:
        assert str(MonthsArchived(months)) == message
