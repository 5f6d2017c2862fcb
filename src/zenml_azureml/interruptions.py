"""Notices SIGINT and SIGTERM, whatever becomes of the exceptions that they raise.

Two things make that necessary. An exception that a handler raises inside a callback of C code is printed and
dropped by Python. And in dynamic pipelines nothing that ZenML does at a signal reaches a job: Ctrl+C waits for
the jobs to end by themselves, SIGTERM ends the process on the spot.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any
from weakref import WeakSet

from zenml.exceptions import RunInterruptedException


class Interruptions:
    """The signals of one process.

    Thread-safe: the handlers run on the main thread and change nothing but a number.

    Attributes:
        number: Grows with every signal.
        guards: Told of by whoever has jobs that must not outlive the process.
    """

    def __init__(self) -> None:
        self.number = 0
        self.guards: WeakSet[Any] = WeakSet()

    def notice(self) -> None:
        """Have the signals noticed from now on; does nothing off the main thread, where handlers cannot be set.

        To be called again before it counts: others, such as ZenML for each step, set handlers too, and take them
        away again.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            # Nothing to notice where a signal is ignored, or handled by C code, which could not be called from here.
            if handler not in (None, signal.SIG_IGN) and not isinstance(handler, _Handler):
                signal.signal(number, _Handler(self, handler))

    def checker(self) -> Callable[[], None]:
        """Something that raises once a signal has come that had not come before this call.

        Returns:
            A function that raises `RunInterruptedException`.
        """
        before = self.number

        def check() -> None:
            if self.number != before:
                raise RunInterruptedException("The execution was interrupted.")

        return check


class _Handler:
    """Notices a signal, and has happen what would have happened without it.

    Args:
        interruptions: Where it is noticed.
        previous: The handler in whose place it is.
    """

    def __init__(self, interruptions: Interruptions, previous: Any) -> None:
        self._interruptions = interruptions
        self._previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._interruptions.number += 1
        if frame is not None and sys._getframe().f_back is not frame:
            return  # called by ZenML's handler, which stands above this one and raises by itself
        if callable(self._previous):
            self._previous(number, frame)
        elif any(guard.busy for guard in self._interruptions.guards):
            # Not on the spot, as the system would, but by way of everybody's `finally`.
            sys.exit(128 + number)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


#: Signals are the process's, not an operator's.
INTERRUPTIONS = Interruptions()
