"""The circuit breakers as values."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.circuit import (
    AFTER_PROBES_SECONDS,
    GATEWAY,
    HELD_SECONDS_MAX,
    PROBED_SECONDS,
    PROBES,
    Admission,
    Call,
    Circuit,
    CircuitPolicy,
    admit,
    after_calls,
    gateway_circuit,
    merchant_circuit,
    seconds_until_half_open,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
POLICY = CircuitPolicy(failure_threshold=20, cooldown_seconds=30)
OPEN_UNTIL = NOW + timedelta(seconds=20)
ONE, TWO, THREE = (uuid.UUID(int=number) for number in (1, 2, 3))


def call(
    merchant: uuid.UUID = ONE, method: str | None = "tok_bad", age_seconds: float = 0.0, gateway: str = "default"
) -> Call:
    return Call(uuid.uuid4(), merchant, method, NOW - timedelta(seconds=age_seconds), gateway)


def after(circuits: dict[str, Circuit], faults: Iterable[Call], answered: Iterable[Call] = ()) -> dict[str, Circuit]:
    names = {name for each in answered for name in each.circuits}
    return circuits | after_calls(circuits, faults, names, POLICY, NOW)


def failed(*faults: Call) -> dict[str, Circuit]:
    """The circuits after these faults one by one."""
    circuits: dict[str, Circuit] = {}
    for fault in faults:
        circuits = after(circuits, [fault])
    return circuits


def is_open(circuits: dict[str, Circuit], name: str) -> bool:
    return circuits.get(name, Circuit()).open_until is not None


def decide(calls: list[Call], circuits: dict[str, Circuit], now: datetime = NOW) -> Admission:
    return admit(calls, circuits, POLICY, now)


def allowed(calls: list[Call], circuits: dict[str, Circuit], now: datetime = NOW) -> list[Call]:
    held = decide(calls, circuits, now).held_seconds
    return [each for each in calls if each.operation_id not in held]


class TestAdmit:
    @given(st.integers(0, 100))
    def test_without_open_circuits_every_call_is_made(self, wanted: int) -> None:
        calls = [call() for _ in range(wanted)]
        closed = {GATEWAY: Circuit(19), calls[0].merchant: Circuit(10)} if calls else {}
        assert decide(calls, closed) == Admission({}, {})

    @given(st.integers(PROBES, 100))
    def test_an_open_gateway_is_not_called(self, failures: int) -> None:
        calls = [call() for _ in range(10)]
        circuits = {name: Circuit(failures) for name in calls[0].circuits} | {GATEWAY: Circuit(20, OPEN_UNTIL)}
        assert allowed(calls, circuits) == []
        assert decide(calls, circuits).rearmed == {}

    @given(st.integers(0, 100))
    def test_after_the_cooldown_the_newest_payments_probe(self, wanted: int) -> None:
        calls = [call(age_seconds=age) for age in range(wanted)]
        circuits = failed(*(call() for _ in range(25)))
        later = NOW + timedelta(seconds=30)
        assert allowed(calls, circuits, later) == calls[:PROBES]
        assert GATEWAY not in decide(calls, circuits, later).rearmed or wanted

    def test_probes_begin_the_cooldown_again(self) -> None:
        circuits = failed(*(call() for _ in range(25)))
        later = NOW + timedelta(seconds=31)
        circuits |= decide([call()], circuits, later).rearmed
        assert allowed([call()], circuits, later + timedelta(seconds=29)) == []
        assert len(allowed([call()], circuits, later + timedelta(seconds=30))) == 1

    def test_a_merchant_that_never_failed_is_served_while_the_gateway_seems_down(self) -> None:
        circuits = failed(*(call(ONE) for _ in range(25)))
        bad, good = [call(ONE) for _ in range(100)], call(TWO)
        assert allowed([*bad, good], circuits) == [good]

    def test_a_merchant_may_try_another_method(self) -> None:
        circuits = failed(*(call(ONE) for _ in range(25)))
        good = call(ONE, "tok_good")
        assert allowed([call(ONE), good], circuits) == [good]

    def test_a_merchant_that_fails_with_every_method_is_held_back(self) -> None:
        circuits = failed(*(call(ONE, f"tok_{number}") for number in range(25)))
        assert allowed([call(ONE, "tok_new")], circuits) == []

    def test_what_might_be_allowed_after_the_trials_comes_again_at_once(self) -> None:
        circuits = failed(*(call(ONE) for _ in range(25)))
        good = [call(TWO) for _ in range(10)]
        held = decide(good, circuits).held_seconds
        assert list(held.values()) == [PROBED_SECONDS] * (10 - PROBES)

    def test_probes_prefer_sources_that_hardly_failed(self) -> None:
        circuits = failed(*(call(ONE, f"tok_{number}") for number in range(30)), *(call(TWO) for _ in range(4)))
        older = [call(TWO, age_seconds=100) for _ in range(2)]
        newer = [call(ONE, f"tok_{number}") for number in range(50)]
        assert set(older) < set(allowed([*newer, *older], circuits, NOW + timedelta(seconds=31)))

    def test_a_failing_source_has_its_turn_with_all_calls(self) -> None:
        bad = [call() for _ in range(50)]
        circuits = {bad[0].method: Circuit(20, OPEN_UNTIL)}
        assert allowed(bad, circuits) == []
        assert allowed(bad, circuits, OPEN_UNTIL) == bad
        assert set(decide(bad, circuits, OPEN_UNTIL).rearmed) == {bad[0].method}

    @given(st.floats(0, 1_000_000))
    def test_held_calls_come_again_after_the_probes_and_old_ones_later(self, age_seconds: float) -> None:
        held = call(age_seconds=age_seconds)
        (seconds,) = decide([held], {held.merchant: Circuit(20, OPEN_UNTIL)}).held_seconds.values()
        assert 20 + AFTER_PROBES_SECONDS <= seconds <= HELD_SECONDS_MAX
        assert age_seconds > 210 or seconds == 20 + AFTER_PROBES_SECONDS

    @pytest.mark.parametrize("hours", [-1, 1, 24])
    def test_the_clock_of_another_machine_does_not_hold_calls_back_for_ever(self, hours: int) -> None:
        assert seconds_until_half_open(Circuit(20, NOW + timedelta(hours=hours)), POLICY, NOW) == 0


class TestAfterCalls:
    def test_faults_in_a_row_open_every_circuit_they_count_for(self) -> None:
        faults = [call(ONE, f"tok_{number}") for number in range(20)]
        assert not is_open(failed(*faults[:19]), GATEWAY)
        circuits = failed(*faults)
        assert circuits[GATEWAY] == Circuit(20, NOW + timedelta(seconds=30))
        assert is_open(circuits, faults[0].merchant)
        assert not is_open(circuits, faults[0].method)

    def test_many_merchants_together_open_the_gateways_circuit(self) -> None:
        circuits = failed(*(call(uuid.UUID(int=number)) for number in range(20)))
        assert {name for name in circuits if is_open(circuits, name)} == {GATEWAY}

    def test_one_method_alone_does_not_open_its_merchants_circuit(self) -> None:
        circuits = failed(*(call() for _ in range(1000)))
        assert is_open(circuits, call().method)
        assert not is_open(circuits, call().merchant)
        assert circuits[call().merchant].consecutive_failures == POLICY.method_faults_max

    @pytest.mark.parametrize("methods", [1, 7, 10_000])
    @given(bad=st.lists(st.integers(1, 60), min_size=1, max_size=30))
    def test_a_merchant_that_fails_alone_opens_the_gateways_circuit_once_at_most(
        self, methods: int, bad: list[int]
    ) -> None:
        circuits: dict[str, Circuit] = {}
        opened = 0
        for faults in bad:
            was_open = is_open(circuits, GATEWAY)
            for number in range(faults):
                circuits = after(circuits, [call(ONE, f"tok_{number % methods}")])
            opened += not was_open and is_open(circuits, GATEWAY)
            circuits = after(circuits, [], [call(TWO)])
            assert not is_open(circuits, GATEWAY)
        assert opened <= 1

    def test_an_answer_closes_the_circuits_it_is_of_and_no_other(self) -> None:
        circuits = failed(*(call(ONE) for _ in range(25)), call(TWO))
        closed = after(circuits, [], [call(TWO)])
        assert closed[GATEWAY] == closed[call(TWO).merchant] == closed[call(TWO).method] == Circuit()
        assert closed[call(ONE).method] == circuits[call(ONE).method]

    def test_faults_beside_an_answer_do_not_count_for_its_circuits(self) -> None:
        circuits = after({}, [call(ONE, "tok_bad") for _ in range(50)], [call(ONE, "tok_good"), call(TWO)])
        assert set(circuits) == {call(ONE).method}

    def test_a_fault_does_not_extend_the_cooldown(self) -> None:
        circuits = failed(*(call() for _ in range(25)))
        later = after_calls(circuits, [call()], set(), POLICY, NOW + timedelta(seconds=5))
        assert later[call().method].open_until == circuits[call().method].open_until

    def test_without_calls_nothing_changes(self) -> None:
        circuits = failed(*(call() for _ in range(25)))
        assert after_calls(circuits, [], set(), POLICY, NOW) == {}

    @given(st.integers(1, 1000))
    def test_every_threshold_protects_a_gateway_with_a_single_merchant(self, threshold: int) -> None:
        policy = CircuitPolicy(threshold, 30)
        circuits: dict[str, Circuit] = {}
        for _ in range(threshold):
            circuits |= after_calls(circuits, [call()], set(), policy, NOW)
        assert is_open(circuits, GATEWAY)
        assert admit([call() for _ in range(50)], circuits, policy, NOW).held_seconds


GATEWAYS = st.sampled_from(["default", "stripe", "other"])
CALLS = st.builds(call, st.sampled_from([ONE, TWO]), st.sampled_from([None, "tok_1", "a/b"]), gateway=GATEWAYS)


class TestGateways:
    def test_the_names_of_default_are_those_of_before(self) -> None:
        assert call().circuits == (f"merchant/{ONE}/tok_bad", f"merchant/{ONE}", "gateway")

    def test_every_other_gateway_has_names_of_its_own(self) -> None:
        assert gateway_circuit("stripe") == "gateway/stripe"
        assert merchant_circuit(ONE, "stripe") == f"gateway/stripe/merchant/{ONE}"
        assert call(gateway="stripe").method == f"gateway/stripe/merchant/{ONE}/tok_bad"

    @given(st.lists(st.tuples(st.lists(CALLS, max_size=30), st.lists(CALLS, max_size=3)), max_size=8), GATEWAYS)
    def test_each_gateway_is_as_if_it_were_the_only_one(
        self, batches: list[tuple[list[Call], list[Call]]], gateway: str
    ) -> None:
        together: dict[str, Circuit] = {}
        alone: dict[str, Circuit] = {}
        for faults, answered in batches:
            together = after(together, faults, answered)
            alone = after(alone, _at(gateway, faults), _at(gateway, answered))
        names = {
            name for each in (faults for faults, _ in batches) for one in _at(gateway, each) for name in one.circuits
        }
        assert {name: circuit for name, circuit in together.items() if name in names} == alone
        calls = [one for faults, _ in batches for one in faults]
        for seconds in (0, 31):
            now = NOW + timedelta(seconds=seconds)
            decided, decided_alone = decide(calls, together, now), decide(_at(gateway, calls), alone, now)
            its = {one.operation_id for one in _at(gateway, calls)}
            held = {id_: wait for id_, wait in decided.held_seconds.items() if id_ in its}
            assert held == decided_alone.held_seconds
            assert {name: one for name, one in decided.rearmed.items() if name in names} == decided_alone.rearmed

    def test_one_that_is_down_holds_no_call_to_another(self) -> None:
        circuits = failed(*(call(ONE, f"tok_{number}", gateway="stripe") for number in range(30)))
        assert is_open(circuits, "gateway/stripe")
        ours = [call(ONE, f"tok_{number}") for number in range(30)]
        theirs = [call(ONE, f"tok_{number}", gateway="stripe") for number in range(30)]
        assert allowed([*ours, *theirs], circuits) == ours

    @pytest.mark.parametrize("gateway", ["default", "stripe"])
    def test_one_merchants_bad_method_opens_no_gateway(self, gateway: str) -> None:
        circuits: dict[str, Circuit] = {}
        for _ in range(200):
            circuits = after(circuits, [call(ONE, gateway=gateway)])
            circuits = after(circuits, [], [call(TWO, "tok_good", gateway=gateway)])
        assert is_open(circuits, call(ONE, gateway=gateway).method)
        assert not is_open(circuits, gateway_circuit(gateway))
        assert not is_open(circuits, merchant_circuit(ONE, gateway))


def _at(gateway: str, calls: Iterable[Call]) -> list[Call]:
    return [each for each in calls if each.gateway == gateway]
