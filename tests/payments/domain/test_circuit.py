"""The circuit breaker as a value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.circuit import PROBES, Circuit, CircuitPolicy, after_calls, allowed_calls

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
POLICY = CircuitPolicy(failure_threshold=5, cooldown_seconds=30)
counts = st.integers(0, 100)


class TestAllowedCalls:
    @given(counts)
    def test_a_closed_circuit_allows_every_call(self, wanted: int) -> None:
        assert allowed_calls(Circuit(), wanted, NOW) == wanted

    @given(counts)
    def test_an_open_circuit_allows_no_call(self, wanted: int) -> None:
        assert allowed_calls(Circuit(5, NOW + timedelta(seconds=1)), wanted, NOW) == 0

    @given(counts)
    def test_after_the_cooldown_allows_a_few_probes(self, wanted: int) -> None:
        assert allowed_calls(Circuit(5, NOW), wanted, NOW) == min(wanted, PROBES)


class TestHasFailures:
    def test_a_closed_circuit_may_have_counted_failures(self) -> None:
        assert not Circuit().has_failures
        assert Circuit(1).has_failures
        assert Circuit(5, NOW).has_failures


class TestAfterCalls:
    @given(st.integers(1, 100), counts)
    def test_any_success_closes_it(self, successes: int, failures: int) -> None:
        assert after_calls(Circuit(50, NOW), successes, failures, POLICY, NOW) == Circuit()

    @given(st.lists(st.integers(1, 3), max_size=20))
    def test_failures_in_a_row_open_it_at_the_threshold(self, failures: list[int]) -> None:
        circuit = Circuit()
        for failed in failures:
            circuit = after_calls(circuit, 0, failed, POLICY, NOW)
        opened = sum(failures) >= POLICY.failure_threshold
        assert (circuit.open_until == NOW + timedelta(seconds=30)) == opened
        assert (circuit.open_until is None) == (not opened)

    def test_a_failed_probe_opens_it_again(self) -> None:
        later = NOW + timedelta(seconds=31)
        half_open = Circuit(5, NOW + timedelta(seconds=30))
        assert after_calls(half_open, 0, 1, POLICY, later).open_until == later + timedelta(seconds=30)

    @given(counts)
    def test_no_calls_change_nothing(self, failures: int) -> None:
        circuit = Circuit(failures, None)
        assert after_calls(circuit, 0, 0, POLICY, NOW) is circuit
