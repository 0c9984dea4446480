"""The verdicts of the simulated gateway."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.gateway.behaviour import Behaviour, Verdict, judge, judge_later


class TestJudge:
    @pytest.mark.parametrize(
        ("payment_method", "failure_code"),
        [
            ("tok_success", None),
            ("tok_decline", "card_declined"),
            ("tok_insufficient_funds", "insufficient_funds"),
            ("tok_fraud", "fraud_blocked"),
            ("tok_never_heard_of", "invalid_payment_method"),
        ],
    )
    def test_magic_methods_answer_at_once(self, payment_method: str, failure_code: str | None) -> None:
        verdict = judge(Behaviour(), payment_method, "p1", 0)
        assert (verdict.failure_code, verdict.latency_seconds, verdict.answers) == (failure_code, 0, True)

    def test_a_timeout_charges_only_when_its_name_says_so(self) -> None:
        lost, charged = (judge(Behaviour(), name, "p1", 0) for name in ("tok_timeout", "tok_timeout_charged"))
        assert (lost.is_done, lost.answers) == (False, False)
        assert (charged.is_done, charged.answers) == (True, False)

    def test_flaky_succeeds_at_the_third_try(self) -> None:
        statuses = [judge(Behaviour(), "tok_flaky", "p1", tries).error_status for tries in range(3)]
        assert statuses == [503, 503, None]

    @given(reference=st.uuids().map(str), seed=st.text(max_size=8))
    def test_a_seed_makes_the_outcome_a_function_of_the_reference(self, reference: str, seed: str) -> None:
        behaviour = Behaviour(0.5, 0, 0, seed)
        assert judge(behaviour, None, reference, 0) == judge(behaviour, None, reference, 7)

    def test_the_success_rate_holds_over_many_references(self) -> None:
        behaviour = Behaviour(0.9, 0, 0, "s")
        succeeded = sum(judge(behaviour, None, str(n), 0).failure_code is None for n in range(5_000))
        assert 4_350 < succeeded < 4_650

    @given(st.integers())
    def test_latency_stays_between_its_bounds(self, number: int) -> None:
        verdict = judge(Behaviour(latency_seconds_min=1, latency_seconds_max=2), None, str(number), 0)
        assert 1 <= verdict.latency_seconds <= 2


class TestJudgeLater:
    @pytest.mark.parametrize(
        ("kind", "payment_method", "verdict"),
        [
            ("capture", "tok_capture_declined", Verdict(failure_code="capture_declined")),
            ("refund", "tok_capture_declined", Verdict()),
            ("refund", "tok_refund_declined", Verdict(failure_code="refund_declined")),
            ("capture", "tok_refund_declined", Verdict()),
            ("refund", "tok_refund_timeout", Verdict(is_done=False, answers=False)),
            ("refund", "tok_refund_timeout_done", Verdict(answers=False)),
            ("refund", "tok_refund_reversed", Verdict(is_reversed=True)),
            ("void", "tok_timeout_charged", Verdict()),
        ],
    )
    def test_the_method_of_the_charge_decides(self, kind: str, payment_method: str, verdict: Verdict) -> None:
        assert judge_later(Behaviour(), kind, payment_method) == verdict

    def test_without_a_magic_method_it_takes_its_time_and_succeeds(self) -> None:
        verdict = judge_later(Behaviour(success_rate=0, latency_seconds_min=1, latency_seconds_max=1), "refund", None)
        assert verdict == Verdict(latency_seconds=1)


class TestBehaviour:
    def test_reads_the_environment_and_keeps_the_documented_defaults(self) -> None:
        assert Behaviour.from_environment({}) == Behaviour(0.9, 2, 5, None, False)
        chosen = Behaviour.from_environment({"GATEWAY_SUCCESS_RATE": "0", "GATEWAY_SEED": "7"})
        assert (chosen.success_rate, chosen.seed) == (0, "7")

    @pytest.mark.parametrize(
        "changes",
        [
            {"success_rate": 2},
            {"latency_seconds_min": 9},
            {"down": 1},
            {"success_rate": True},
            {"seed": "x"},
            {"colour": "red"},
            {"pending_declines": 1},
            {"pending_seconds": -1},
            {"key_seconds": float("inf")},
            {"faults": "lost_answer"},
            {"faults": ["no_such_fault"]},
            {"faults": [1]},
            {"busy_status": 200},
            {"busy_status": 422.0},
            {"unknown_status": 500},
        ],
    )
    def test_refuses_controls_that_make_no_sense(self, changes: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"."):
            Behaviour().changed(changes)

    def test_a_duration_may_be_whole_at_one_time_and_not_at_another(self) -> None:
        assert Behaviour().changed({"pending_seconds": 2}).changed({"pending_seconds": 0.5}).pending_seconds == 0.5

    def test_the_faults_of_one_gateway_are_not_anothers(self) -> None:
        first = Behaviour().changed({"faults": ["error"]})
        first.changed({"down": True}).faults.clear()
        assert first.faults == ["error"]
        assert Behaviour().faults == []
