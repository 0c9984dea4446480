"""Steps of a chain work at the same time, and all of them have ended when the caller goes on."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing

import pytest

from paybridge.archive.read_ahead import read_ahead


def numbers(log: list[str], until: int = 10, fails_at: int | None = None) -> Generator[int, None, None]:
    try:
        for number in range(until):
            if number == fails_at:
                raise KeyError(number)
            yield number
    finally:
        log.append("numbers ended")


def doubled(source: Generator[int, None, None], log: list[str]) -> Generator[int, None, None]:
    with closing(read_ahead(source)) as ahead:
        try:
            for number in ahead:
                yield 2 * number
        finally:
            log.append("doubled ended")


def test_items_come_in_their_order() -> None:
    assert list(read_ahead(doubled(numbers([]), []))) == list(range(0, 20, 2))


def test_each_step_has_a_thread_of_its_own() -> None:
    threads: list[str] = []

    def source() -> Generator[int, None, None]:
        for number in range(3):
            threads.append(threading.current_thread().name)
            yield number

    assert list(read_ahead(source())) == [0, 1, 2]
    assert threading.current_thread().name not in threads


@pytest.mark.parametrize("read", [0, 1, 5])
def test_every_step_has_ended_once_the_caller_stops(read: int) -> None:
    log: list[str] = []
    with closing(read_ahead(doubled(numbers(log), log))) as ahead:
        for _ in range(read):
            next(ahead)
    assert log == (["doubled ended", "numbers ended"] if read else [])


def test_what_a_step_raises_ends_the_others_and_comes_to_the_caller() -> None:
    log: list[str] = []
    with pytest.raises(KeyError), closing(read_ahead(doubled(numbers(log, fails_at=3), log))) as ahead:
        list(ahead)
    assert sorted(log) == ["doubled ended", "numbers ended"]
