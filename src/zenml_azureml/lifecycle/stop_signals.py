"""A record of SIGINT and SIGTERM, even if the exceptions that they raise are lost.

There are two reasons for it. Python prints and drops an exception that a handler raises inside a callback of C code.
And in dynamic pipelines ZenML cancels no job at a signal: after Ctrl+C it waits for the jobs to end by themselves, and
SIGTERM ends the process at once.

Only the main thread can set handlers. A pipeline on another thread asks an event loop of the main thread to do it, if
there is one (`await asyncio.to_thread(pipeline)`). Without one, Ctrl+C is noticed when it has ended the main thread.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any
from weakref import WeakSet

from zenml.exceptions import RunInterruptedException

#: The signals that interrupt a pipeline.
SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: Seconds that an event loop gets to set the handlers, before a warning says that they are not set.
_LOOP_TAKES = 2.0


class StopSignals:
    """The signals of one process.

    Thread-safe: the handlers run on the main thread and change only a number.

    Attributes:
        number: Number of signals so far.
        last: The last of them; SIGINT if there was none.
        guards: The objects whose `busy` is True while they have jobs that must not outlive the process.
    """

    def __init__(self) -> None:
        self.number = 0
        self.last: int = signal.SIGINT
        self.guards: WeakSet[Any] = WeakSet()
        self._noticed: set[signal.Signals] = set()
        self._searched_by: WeakSet[threading.Thread] = WeakSet()

    def notice(self) -> None:
        """Record signals from now on, as far as that is possible on this thread.

        Call it again before each wait: other code, such as ZenML for each step, sets handlers too, and restores the
        ones before.
        """
        thread = threading.current_thread()
        if thread is threading.main_thread():
            self._set_handlers()
        elif self.unnoticed and thread not in self._searched_by:
            self._searched_by.add(thread)
            self._have_event_loop_set_handlers()

    @property
    def unnoticed(self) -> list[str]:
        """The names of the signals that no handler of this object has ever been set for."""
        return [number.name for number in SIGNALS if number not in self._noticed]

    def warning(self, run: str) -> str:
        """Return a warning for the user about the signals that are not noticed; empty if all of them are.

        Args:
            run: Name of the pipeline run.
        """
        if not self.unnoticed:
            return ""
        return (
            "The pipeline does not run in the main thread, and only that can set handlers for signals. So SIGTERM ends "
            "this process at once and leaves its Azure ML jobs running, and Ctrl+C cancels them only when it has ended "
            "the main thread. To stop the run, and its jobs, while this process lives:\n"
            f"  zenml pipeline runs stop {run} --graceful\n"
            "To have both signals cancel the jobs, load the stack in the main thread first: `Client().active_stack`."
        )

    def _set_handlers(self) -> None:
        self._noticed.update(SIGNALS)
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # Leave a signal alone if it is ignored, or handled by C code, which Python could not call.
            if handler not in (None, signal.SIG_IGN) and not isinstance(handler, _Handler):
                signal.signal(number, _Handler(self, handler))

    def _have_event_loop_set_handlers(self) -> None:
        done = threading.Event()

        def set_handlers() -> None:
            if threading.current_thread() is threading.main_thread():
                self._set_handlers()
                done.set()

        # A worker thread has no other way to find the event loop of the main thread.
        # (`isinstance` would ask proxy objects for the class of the object behind them.)
        loops = [found for found in gc.get_objects() if issubclass(type(found), asyncio.AbstractEventLoop)]
        running = [loop for loop in loops if loop.is_running()]
        for loop in running:
            with suppress(RuntimeError):  # the loop was just closed
                loop.call_soon_threadsafe(set_handlers)
        if running:
            done.wait(_LOOP_TAKES)

    def checker(self) -> Callable[[], None]:
        """Return a function that raises if a signal has come since this call.

        Returns:
            A function that raises `RunInterruptedException`.
        """
        before = self.number

        def check() -> None:
            if self.number != before or _main_thread_was_interrupted():
                raise RunInterruptedException("The execution was interrupted.")

        return check


def _main_thread_was_interrupted() -> bool:
    # Python then waits for the other threads, and keeps the uncaught exception.
    return getattr(sys, "last_type", None) is KeyboardInterrupt and not threading.main_thread().is_alive()


class _Handler:
    """A handler that records a signal, and then calls the handler that it has replaced.

    Args:
        interruptions: The record of signals.
        previous: The replaced handler.
    """

    def __init__(self, interruptions: StopSignals, previous: Any) -> None:
        self._interruptions = interruptions
        self._previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._interruptions.last = number
        self._interruptions.number += 1
        if frame is not None and sys._getframe().f_back is not frame:
            return  # called by ZenML's handler, which has replaced this one and raises by itself
        if callable(self._previous):
            self._previous(number, frame)
        elif any(guard.busy for guard in self._interruptions.guards):
            # Not at once, as the system would: every `finally` runs first.
            sys.exit(128 + number)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


#: One object per process, since signals belong to the process and not to an operator.
STOP_SIGNALS = StopSignals()
