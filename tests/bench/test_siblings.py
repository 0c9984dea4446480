"""The siblings are functions of the template that no payment waits for, and their shares are told."""

from __future__ import annotations

import pytest

from bench import end_to_end, siblings
from bench.end_to_end import Round
from infra.sam_template.template import read_template
from local.settings import PROJECT

OURS = [
    Round(600.0, 700.0, 4.0, {"postgres": 3.0, "function ledger": 1.0}),
    Round(500.0, 600.0, 4.0, {"postgres": 3.0}),
]
ALONE = [Round(750.0, 800.0, 3.0, {"postgres": 3.0}), Round(800.0, 900.0, 3.0, {"postgres": 3.0})]


def test_a_payment_waits_for_none_of_them() -> None:
    template = read_template(PROJECT / "template.yaml", {}, read_ssm=lambda name: name)
    on_the_way = {"ApiFunction", "RelayFunction", "ConsumerFunction", "WebhooksFunction"}
    assert on_the_way < template.functions.keys()
    assert not on_the_way & set(siblings.SIBLINGS)
    assert siblings.LONG_JOBS in template.functions
    # None of the others has a queue from which payments or webhooks come.
    queues = {event.queue for name in siblings.SIBLINGS if name in template.functions
              for event in template.functions[name].queues}  # fmt: skip
    assert not {"payments.new", "webhooks", "webhooks.retry"} & queues


def test_the_ratio_compares_the_rounds_with_each_other() -> None:
    figures = {figure.name: figure for figure in end_to_end._figures_alone(OURS, ALONE)}
    to_alone = figures[end_to_end.TO_ALONE]
    assert to_alone.values == (0.8, 0.625)
    assert to_alone.goal is not None
    assert not to_alone.goal.met(to_alone.median)
    assert figures["function ledger"].values == (1.0, 0.0)
    assert figures["function ledger"].is_detail


def test_shares_are_told_largest_first() -> None:
    text = siblings.shares_text({"function ledger": 0.5, "postgres": 3.0, "sink": 0.001, "gateway": 0.499})
    assert text == "postgres 3.00 s (75%), function ledger 0.50 s (12%), gateway 0.50 s (12%), others 0.00 s (0%)"
    assert siblings.shares_text({}) == "others 0.00 s (0%)"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_notes_name_the_siblings_and_both_sums(place: int) -> None:
    note = end_to_end._shares(["Ledger", "LongJobs"], OURS, ALONE)[place]
    assert ["Ledger, LongJobs", "postgres 3.00 s (86%), function ledger 0.50 s (14%)", "postgres 3.00 s (100%)"][
        place
    ] in note
