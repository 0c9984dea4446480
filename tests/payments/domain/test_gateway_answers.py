"""What an unclear answer means once the charge was looked up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    GatewayAnswer,
    LookUpAnswer,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    RefusedRequest,
    Succeeded,
    UnderWay,
    Unknown,
    conclude,
)

clear = st.sampled_from([Succeeded("ch_1"), PartlyApproved("ch_1", 5), Declined("card_declined", "No."), Pending()])
unclear_look_ups = st.sampled_from([RateLimited(3), Unknown(Fault.SERVER_ERROR, "500")])
look_ups = clear | unclear_look_ups | st.just(NotFound()) | st.just(Contradictory("more", "ch_1"))
unknowns = st.builds(Unknown, st.sampled_from(Fault), st.just("no answer"))
unclear = unknowns | st.sampled_from([UnderWay("409"), RefusedRequest("422"), Contradictory("more", "ch_1")])


class TestConclude:
    @given(unclear, clear, st.booleans())
    def test_what_the_gateway_has_on_record_decides(
        self, answer: GatewayAnswer, found: LookUpAnswer, is_repeated: bool
    ) -> None:
        assert conclude(answer, found, is_repeated) == found

    @given(unclear, look_ups)
    def test_a_refusal_of_a_repeated_request_never_declines(self, answer: GatewayAnswer, found: LookUpAnswer) -> None:
        concluded = conclude(answer, found, is_repeated=True)
        assert concluded == found or not isinstance(concluded, Declined)

    @given(unclear_look_ups)
    def test_a_refusal_declines_only_once_the_gateway_says_that_there_is_no_charge(self, found: LookUpAnswer) -> None:
        refused = RefusedRequest("422", "amount_too_small")
        assert isinstance(conclude(refused, found, is_repeated=False), UnderWay)
        declined = conclude(refused, NotFound(), is_repeated=False)
        assert isinstance(declined, Declined)
        assert (declined.failure_code, declined.gateway_code) == ("gateway_rejected", "amount_too_small")

    @given(unknowns, look_ups, st.booleans())
    def test_nothing_arrived_only_if_the_gateway_served_us_and_knows_no_charge(
        self, answer: Unknown, found: LookUpAnswer, is_repeated: bool
    ) -> None:
        concluded = conclude(answer, found, is_repeated)
        arrived = not isinstance(found, NotFound) or answer.fault is Fault.NOT_SERVED
        assert not (isinstance(concluded, Unknown) and concluded.never_arrived and arrived)
        if isinstance(found, NotFound):
            assert concluded == Unknown(answer.fault, answer.error, answer.fault is not Fault.NOT_SERVED)
