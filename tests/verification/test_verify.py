"""Every check has a finding: those that cannot be made, and those for which there is no time."""

from __future__ import annotations

import pytest

from paybridge.core.errors import DatabaseUnavailable, MalformedMessage
from paybridge.core.findings import Finding, finding_of
from paybridge.verification.verify import NO_TIME, Check, NamedFinding, all_hold, verify


def check_of(finding: Finding | Exception) -> Check:
    def check(full: bool) -> Finding:
        if isinstance(finding, Exception):
            raise finding
        return finding

    return check


class TestVerify:
    def test_a_check_that_cannot_be_made_is_a_finding_and_stops_no_other(self) -> None:
        checks = {"one": check_of(MalformedMessage("odd")), "two": check_of(Finding(True, 3))}
        assert [*verify(checks)] == [
            NamedFinding("one", Finding(False, 0, "cannot be checked: odd")),
            NamedFinding("two", Finding(True, 3)),
        ]

    def test_a_database_that_is_away_is_no_finding(self) -> None:
        with pytest.raises(DatabaseUnavailable):
            [*verify({"one": check_of(DatabaseUnavailable("away"))})]

    def test_no_check_begins_once_the_time_is_over(self) -> None:
        times = iter([0.0, 4.0, 9.0, 9.5])
        checks = dict.fromkeys(("one", "two", "three"), check_of(Finding(True, 1)))
        found = [*verify(checks, seconds_max=9.0, monotonic=times.__next__)]
        assert [each.finding for each in found] == [Finding(True, 1), *[Finding(None, 0, NO_TIME)] * 2]


class TestAllHold:
    @pytest.mark.parametrize(
        ("findings", "holds"),
        [([True, True], True), ([True, None], None), ([None, False, True], False), ([], True)],
        ids=["all", "one unknown", "one broken", "none"],
    )
    def test_one_that_is_broken_counts_more_than_one_that_is_unknown(
        self, findings: list[bool | None], holds: bool | None
    ) -> None:
        assert all_hold(NamedFinding("x", Finding(each, 1)) for each in findings) is holds


class TestFindingOf:
    def test_names_the_first_faults_and_counts_the_others(self) -> None:
        assert finding_of(9, []) == Finding(True, 9)
        assert finding_of(9, ["a"]) == Finding(False, 9, "a")
        assert finding_of(9, [*"abcde"]) == Finding(False, 9, "a; b; c; and 2 more")
