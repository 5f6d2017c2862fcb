"""A lock of a whole process that a forked child does not inherit."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType


class ForkLock:
    """A lock for the table of a module: a forked child gets a new one, since a thread of its parent may have held it.

    Args:
        renew: Called in a forked child, such as to clear the table.
    """

    def __init__(self, renew: Callable[[], object] = lambda: None) -> None:
        self._lock = threading.Lock()
        self._renew = renew
        os.register_at_fork(after_in_child=self._renew_in_child)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def _renew_in_child(self) -> None:
        self._lock = threading.Lock()
        self._renew()
