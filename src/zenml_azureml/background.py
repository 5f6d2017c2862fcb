"""What is done for steps whose status somebody asks for, who must not be kept waiting: on threads of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID


class Background:
    """Work for steps, one piece at a time for each.

    Thread-safe: a lock guards the table.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._going_on: dict[UUID, _Work] = {}

    def start(self, step_run_id: UUID, work: Callable[[], None]) -> None:
        """Do something for a step, unless something is being done for it."""
        with self._lock:
            if step_run_id in self._going_on:
                return
            going_on = self._going_on[step_run_id] = _Work(work)
        # Not a daemon: the process does not end in the middle of a submit, after which nobody knew of the job.
        threading.Thread(target=going_on.run, name="zenml-azureml-move").start()

    def going_on(self, step_run_id: UUID) -> bool:
        """Whether something is being done for a step.

        Raises:
            Exception: What it has failed with, once.
        """
        with self._lock:
            work = self._going_on.get(step_run_id)
            if work is None:
                return False
            if not work.done:
                return True
            del self._going_on[step_run_id]
        if work.error is not None:
            raise work.error
        return False


class _Work:
    def __init__(self, work: Callable[[], None]) -> None:
        self.done = False
        self.error: BaseException | None = None
        self._work = work

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - whoever asks for the status must learn of it
            self.error = error
        finally:
            self.done = True
