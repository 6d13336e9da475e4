"""Things that a thread makes while those before them are used."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")

_MOST = 4


def ahead(things: Iterable[T], most: int = _MOST, size: Callable[[T], int] = lambda thing: 1) -> Iterator[T]:
    """`things`, some of them made before they are asked for, in a thread that ends with the iterator.

    :param most: what those that wait may come to by `size`; a larger one waits alone.
    """
    changed = threading.Condition()
    waiting: deque[T] = deque()
    errors: list[BaseException] = []
    together, is_made, is_left = 0, False, False

    def give(thing: T) -> bool:
        nonlocal together
        with changed:
            changed.wait_for(lambda: is_left or not waiting or together + size(thing) <= most)
            waiting.append(thing)
            together += size(thing)
            changed.notify()
            return not is_left

    def make() -> None:
        nonlocal is_made
        try:
            for thing in things:
                if not give(thing):
                    break
        except BaseException as error:
            errors.append(error)
        with changed:
            is_made = True
            changed.notify()

    thread = threading.Thread(target=make, name="sluicegate-ahead", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: waiting or is_made)
                if not waiting:
                    break
                thing = waiting.popleft()
                together -= size(thing)
                changed.notify()
            yield thing
        if errors:
            raise errors[0]
    finally:
        with changed:
            is_left = True
            changed.notify()
        thread.join()
