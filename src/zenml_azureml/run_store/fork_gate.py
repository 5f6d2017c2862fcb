"""A gate that keeps requests to ZenML's server from being in progress while the process forks, and their threads.

A forked child has a copy of every lock, and no thread that would release it. ZenML's client and its database have locks
that a request holds, so a child that was forked during a request of another thread could wait for them indefinitely.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: Longest time in seconds for which a fork waits for requests: a server may not answer.
_LONGEST_WAIT = 5.0


class ForkGate:
    """Requests pass it one by one or together; a fork waits until none is inside, and lets none in.

    Thread-safe: a condition guards the numbers.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Open the gate of a forked child, which has none of the requests."""
        self._condition = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextmanager
    def request(self) -> Iterator[None]:
        """Make a request inside a `with`."""
        with self._condition:
            self._condition.wait_for(lambda: not self._closed, _LONGEST_WAIT)
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    def close(self) -> None:
        """Let no request in, and wait until those inside are done."""
        with self._condition:
            self._closed = True
            self._condition.wait_for(lambda: self._inside == 0, _LONGEST_WAIT)

    def open(self) -> None:
        """Let requests in again."""
        with self._condition:
            self._closed = False
            self._condition.notify_all()


#: One gate per process, since the whole process forks.
FORK_GATE = ForkGate()


def begin_request(work: Callable[[], T]) -> tuple[Future[T], threading.Event]:
    """Make a request on a separate thread, which the caller can abandon.

    ZenML's client may wait for minutes for a server that accepts connections and does not answer.

    Args:
        work: Makes the request, in the context of the caller.

    Returns:
        Its result or error, and an event that is set when there is one.
    """
    outcome: Future[T] = Future()
    done, context = threading.Event(), contextvars.copy_context()

    def run() -> None:
        try:
            with FORK_GATE.request():
                outcome.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again where the result is read
            outcome.set_exception(error)
        finally:
            done.set()

    try:
        threading.Thread(target=run, name="zenml-azureml-server-request", daemon=True).start()
    except RuntimeError:  # from Python 3.12 on, no thread starts once the interpreter has begun to shut down
        run()
    return outcome, done


os.register_at_fork(before=FORK_GATE.close, after_in_parent=FORK_GATE.open, after_in_child=FORK_GATE.renew)
