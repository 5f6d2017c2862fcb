"""Waiting for what happens soon, in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(ask: Callable[[], T], seconds: float = 20, *, pause: float = 0.02) -> T:
    """The first answer that is true, asked for again and again.

    Raises:
        AssertionError: If there is none in time.
    """
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(pause)
    return answer
