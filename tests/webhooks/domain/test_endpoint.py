"""The secrets of webhook endpoints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from paybridge.webhooks.domain.endpoint import SECRETS_MAX, EndpointSecret, chooses, follows_progress, rotated

NOW = datetime(2026, 12, 1, tzinfo=UTC)


class TestRotated:
    @given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 2000)), max_size=12))
    def test_at_most_five_are_kept_and_none_lives_longer(self, rotations: list[tuple[int, int]]) -> None:
        secrets: tuple[EndpointSecret, ...] = (EndpointSecret("0"),)
        now = NOW
        for number, (passed, overlap) in enumerate(rotations, 1):
            now += timedelta(seconds=passed)
            before = {each.secret: each.valid_until for each in secrets}
            secrets = rotated(secrets, str(number), now, overlap)
            assert len(secrets) <= SECRETS_MAX
            assert secrets[0] == EndpointSecret(str(number))
            for each in secrets[1:]:
                assert each.valid_until is not None
                assert now < each.valid_until <= now + timedelta(seconds=overlap)
                ended_at = before[each.secret]
                assert ended_at is None or each.valid_until <= ended_at

    def test_without_an_overlap_only_the_new_one_is_left(self) -> None:
        secrets = rotated((EndpointSecret("a"),), "b", NOW, 3600)
        assert [each.secret for each in rotated(secrets, "c", NOW, 0)] == ["c"]


class TestChooses:
    def test_a_test_always_comes(self) -> None:
        assert chooses(["payment.failed"], "webhook_endpoint.test")
        assert not chooses(["payment.failed"], "payment.succeeded")

    def test_progress_is_followed_by_those_that_choose_it(self) -> None:
        assert all(map(follows_progress, (["*"], ["payment.*"], ["payment.created"], ["payment.processing"])))
        assert not any(map(follows_progress, (["payment.succeeded"], ["refund.*"], [])))
