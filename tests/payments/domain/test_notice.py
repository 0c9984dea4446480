"""What a gateway's notice leads to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.notice import (
    NOTICE_AGE_SECONDS_MAX,
    AskNow,
    Claim,
    LookAgainNow,
    NothingNew,
    WaitForRecord,
    after_notice,
    is_recent,
)
from paybridge.payments.domain.operation import OPEN_STATUSES, UNSETTLED_STATUSES, Kind, OperationStatus

NUMBERS = st.integers(1, 1000)
ASKS = st.integers(0, 10_000)


class TestAfterNotice:
    @given(st.sampled_from(Claim), st.sampled_from(Kind), st.sampled_from(sorted(OPEN_STATUSES)), NUMBERS, ASKS)
    def test_whatever_it_says_an_open_operation_is_asked_about_by_its_next_ask(
        self, claim: Claim, kind: Kind, status: OperationStatus, number: int, asks: int
    ) -> None:
        assert after_notice(claim, kind, status, number, asks) == AskNow(number, asks + 1)

    @given(
        st.sampled_from(Claim), st.sampled_from(Kind), st.sampled_from(sorted(UNSETTLED_STATUSES - OPEN_STATUSES)), ASKS
    )
    def test_it_waits_for_the_record_of_a_call_that_is_under_way(
        self, claim: Claim, kind: Kind, status: OperationStatus, asks: int
    ) -> None:
        assert after_notice(claim, kind, status, 1, asks) == WaitForRecord()

    @pytest.mark.parametrize("kind", [Kind.CHARGE, Kind.AUTHORIZATION, Kind.REFUND])
    @pytest.mark.parametrize("claim", [Claim.DONE, Claim.OTHER])
    def test_what_failed_is_looked_up_unless_the_notice_says_so_too(self, kind: Kind, claim: Claim) -> None:
        assert after_notice(claim, kind, OperationStatus.DECLINED, 1, 0) == LookAgainNow()
        assert after_notice(Claim.FAILED, kind, OperationStatus.DECLINED, 1, 0) == NothingNew()

    def test_a_refund_that_succeeded_is_looked_up_unless_the_notice_says_so_too(self) -> None:
        steps = {claim: after_notice(claim, Kind.REFUND, OperationStatus.SUCCEEDED, 1, 0) for claim in Claim}
        assert steps == {Claim.DONE: NothingNew(), Claim.FAILED: LookAgainNow(), Claim.OTHER: LookAgainNow()}

    @given(st.sampled_from(Claim), st.sampled_from([Kind.CHARGE, Kind.AUTHORIZATION, Kind.CAPTURE, Kind.VOID]))
    def test_no_other_success_is_asked_about_again(self, claim: Claim, kind: Kind) -> None:
        assert after_notice(claim, kind, OperationStatus.SUCCEEDED, 1, 0) == NothingNew()

    @given(st.sampled_from(Claim), st.sampled_from(Kind), st.sampled_from(OperationStatus), NUMBERS, ASKS)
    def test_every_state_leads_to_something(
        self, claim: Claim, kind: Kind, status: OperationStatus, number: int, asks: int
    ) -> None:
        assert after_notice(claim, kind, status, number, asks) is not None


class TestIsRecent:
    @given(st.integers(-NOTICE_AGE_SECONDS_MAX, NOTICE_AGE_SECONDS_MAX))
    def test_within_minutes_of_now(self, seconds: int) -> None:
        now = datetime(2026, 11, 29, tzinfo=UTC)
        assert is_recent(int((now + timedelta(seconds=seconds)).timestamp()), now)

    @pytest.mark.parametrize("seconds", [-NOTICE_AGE_SECONDS_MAX - 1, NOTICE_AGE_SECONDS_MAX + 1])
    def test_neither_older_nor_from_the_future(self, seconds: int) -> None:
        now = datetime(2026, 11, 29, tzinfo=UTC)
        assert not is_recent(int(now.timestamp()) + seconds, now)
