"""Simultaneous requests with one key, and retries of a request that is in progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..api import Answer, Api, listed, new_key, new_marker
from ..counting import made, resources
from ..links import link_of
from ..rules import Finding, judged, not_applicable
from .retries import difference, names_the_same

_IN_FLIGHT = ("in-flight-409", "in-flight-described", "in-flight-retry")


@dataclass(frozen=True, slots=True)
class _Race:
    """Requests with one key that were under way together: their answers, and the answer to the same request later."""

    answers: Sequence[Answer]
    later: Answer
    count: int

    @property
    def accepted(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.is_success]

    @property
    def refused(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.is_refusal]


def check_concurrency(api: Api) -> Iterator[Finding]:
    """Send many requests at once with one key, and, if the settings have one, retry a slow request meanwhile."""
    race = _race(api)
    seen = f"{len(race.answers)} at once: {listed(race.answers)}; {made(race.count)}"
    yield judged("concurrent-one-resource", race.count == 1, seen)
    races = [race]
    if api.settings.slow:
        races.append(_retry_of_slow(api))
    answers = [answer for one in races for answer in one.answers]
    is_kept = all(answer.is_success or answer.is_refusal for answer in answers)
    yield judged("concurrent-answers", is_kept, listed(answers))
    yield from _in_flight(api, [one for one in races if one.refused])


def _in_flight(api: Api, races: Sequence[_Race]) -> Iterator[Finding]:
    refused = [answer for race in races for answer in race.refused]
    if not refused:
        advice = "" if api.settings.slow else ". `request.slow` can name members that make a request take long"
        reason = f"no retry was refused: each got the answer of the original{advice}"
        yield from (not_applicable(rule_id, reason) for rule_id in _IN_FLIGHT)
        return
    api.errors.append(refused[0])
    yield judged("in-flight-409", all(answer.status == 409 for answer in refused), f"refused: {listed(refused)}")
    silent = [answer for answer in refused if not _is_described(answer)]
    seen = f"{len(silent)} of {len(refused)} say nothing" if silent else _description(refused[0])
    yield judged("in-flight-described", not silent, seen)
    wrong = [race for race in races if not any(names_the_same(api, answer, race.later) for answer in race.accepted)]
    answered = (wrong or races)[0]
    seen = difference(answered.accepted[0], answered.later) if answered.accepted else "no request was accepted"
    yield judged("in-flight-retry", not wrong, seen)


def _race(api: Api) -> _Race:
    key, marker, number = new_key(), new_marker(), api.settings.requests
    barrier = threading.Barrier(number)

    def send(_: int) -> Answer:
        barrier.wait()
        return api.create(key, marker)

    with ThreadPoolExecutor(number) as pool:
        answers = list(pool.map(send, range(number)))
    return _Race(answers, api.create(key, marker), resources(api, answers, marker))


def _retry_of_slow(api: Api) -> _Race:
    key, marker, slow = new_key(), new_marker(), api.settings.slow
    with ThreadPoolExecutor(1) as pool:
        original = pool.submit(api.create, key, marker, slow)
        time.sleep(api.settings.slow_after_seconds)
        retry = api.create(key, marker, slow)
        answers = [original.result(), retry]
    return _Race(answers, api.create(key, marker, slow), resources(api, answers, marker))


def _is_described(answer: Answer) -> bool:
    return bool(_description(answer))


def _description(answer: Answer) -> str:
    return answer.description or link_of(answer) or ""
