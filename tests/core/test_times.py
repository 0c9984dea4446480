"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.times import format_time, in_utc, lowest_id, parse_time, shift

OFFSETS = st.integers(-(24 * 60 - 1), 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# Hypothesis wants its bounds without an offset.
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS)  # noqa: DTZ001


class TestFormatTime:
    @given(MOMENTS)
    def test_always_has_the_same_number_of_digits_and_means_the_same_moment(self, moment: datetime) -> None:
        text = format_time(moment)
        assert len(text) == len("2026-01-31T12:00:00.000000+00:00")
        assert parse_time(text) == moment
        assert text.endswith("+00:00")


class TestParseTime:
    @given(MOMENTS, st.booleans(), st.integers(0, 6))
    def test_reads_what_python_writes(self, moment: datetime, lower: bool, digits: int) -> None:
        moment = moment.replace(microsecond=moment.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits))
        text = moment.isoformat()
        assert parse_time(text.lower() if lower else text) == moment

    @given(MOMENTS, st.text("0123456789", max_size=30))
    def test_cuts_digits_beyond_microseconds(self, moment: datetime, more: str) -> None:
        text = format_time(moment)
        assert parse_time(text.replace("+00:00", f"{more}z")) == moment

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
            ("2026-01-31T12:00:00.5Z", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
            ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)),
            ("2026-01-31T12:00:00.999999999Z", datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC)),
            ("2026-01-31T12:00:00-00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
            ("2026-01-31T12:00:00+23:59", datetime(2026, 1, 30, 12, 1, tzinfo=UTC)),
            ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
            ("1990-12-31T15:59:60.25-08:00", datetime(1991, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
            ("9999-12-31T23:59:60Z", datetime.max.replace(tzinfo=UTC)),
            ("9999-12-31T23:59:59-14:00", datetime.max.replace(tzinfo=UTC)),
            ("0001-01-01T00:00:00+14:00", datetime.min.replace(tzinfo=UTC)),
        ],
    )
    def test_reads_every_form_of_the_standard(self, text: str, moment: datetime) -> None:
        assert parse_time(text) == moment

    @pytest.mark.parametrize(
        "text",
        [
            *("", "now", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31T12:00Z"),
            *("2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z", "2026-02-30T12:00:00Z"),
            *("2026-01-31T12:00:60Z", "2026-01-30T23:59:60Z", "2026-01-31T23:59:60+01:00", "2026-13-01T00:00:00Z"),
            *("2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00+00:60", "2026-01-31T12:00:00+0100"),
            *("2026-01-31T12:00:00.Z", "2026-01-31T12:00:00,5Z", "0000-01-01T00:00:00Z", "12026-01-31T12:00:00Z"),
            *("２026-01-31T12:00:00Z", "2026-01-31T12:00:00Z\n", "2026-01-31T12:00:00ZZ", "1769860800"),
        ],
    )
    def test_refuses_other_texts(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - any ValueError, the caller words the answer
            parse_time(text)


class TestShift:
    @given(MOMENTS, st.timedeltas(-timedelta(days=300), timedelta(days=300)))
    def test_is_the_sum(self, moment: datetime, by: timedelta) -> None:
        assert shift(moment, by) == moment + by

    def test_ends_with_the_calendar(self) -> None:
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        assert shift(first, -timedelta(minutes=10)) == first
        assert shift(last, timedelta(minutes=10)) == last


class TestInUtc:
    @given(MOMENTS)
    def test_is_the_same_moment(self, moment: datetime) -> None:
        assert in_utc(moment) == moment
        assert in_utc(moment).tzinfo is UTC


class TestLowestId:
    @given(MOMENTS)
    def test_has_the_millisecond(self, moment: datetime) -> None:
        milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        assert lowest_id(moment).int >> 80 == max(0, milliseconds)

    @pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
    def test_reads_every_moment(self, moment: datetime) -> None:
        assert lowest_id(moment).int < 2**128
