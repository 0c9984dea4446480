"""Run the steps of a pipeline concurrently, one thread per step."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


def read_ahead(items: Generator[_Item, None, None]) -> Generator[_Item, None, None]:
    """Return the items, of which the next is made in another thread while the caller works with this one.

    What `items` raises is raised here. However this ends, `items` has ended too. Close it where it may not be read to
    its end: the collector of garbage must not come upon a thread that still works.
    """
    with ThreadPoolExecutor(1) as pool:
        try:
            following = pool.submit(next, items, None)
            while (item := following.result()) is not None:
                following = pool.submit(next, items, None)
                yield item
        finally:
            # Behind what the thread does at the moment.
            pool.submit(items.close).result()
