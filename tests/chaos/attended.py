"""A forked process that the stage attends to: how long it goes on, and whether it hangs."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import orchestrator
from tests.chaos.shared_clock import SharedClock

#: When a process is taken to hang: seconds of its clock and of the machine, all in all; and after an interruption, of
#: which the limit is a rule's.
HANGS_AFTER, LETS_GO_WITHIN = (900.0, 60.0), (150.0, 20.0)


@dataclass(frozen=True)
class _Instant:
    """Seconds of the shared clock, of the machine's, and of processor time."""

    clock: float
    machine: float
    worked: float


class AttendedProcess:
    """One that runs a pipeline.

    Args:
        id_: Its process id.
        socket_: The way to it.
        clock: Its time.
    """

    def __init__(self, id_: int, socket_: socket.socket, clock: SharedClock) -> None:
        self.id, self.socket = id_, socket_
        self._clock = clock
        self._began = self._now()
        self._interrupted: _Instant | None = None
        self._zenml_was_there = True

    def note_interruption(self) -> None:
        """From now on it has its time to let go."""
        self._interrupted = self._now()

    def take_in(self, zenml_is_there: bool) -> bool:
        """Take in whether ZenML can be asked. While it cannot, an interrupted process may wait for it: it has its time
        to let go from when ZenML is there again.

        Returns:
            What it was given.
        """
        if self._interrupted is not None and zenml_is_there and not self._zenml_was_there:
            self._interrupted = self._now()
        self._zenml_was_there = zenml_is_there
        return zenml_is_there

    def hangs(self) -> bool:
        """Whether it goes on for too long."""
        since, limits = (self._began, HANGS_AFTER) if self._interrupted is None else (self._interrupted, LETS_GO_WITHIN)
        return time.monotonic() - since.machine > limits[1] and self._clock.monotonic() - since.clock > limits[0]

    def let_go(self, worked: float) -> tuple[float, float]:
        """How long it went on after the last interruption; to be asked when it is gone.

        Args:
            worked: Seconds of processor time that it has taken all in all.

        Returns:
            Seconds of its clock, without those in which it took processor time itself, and of the machine's: a clock
            that fast says nothing of what is worked.
        """
        if self._interrupted is None:
            return 0.0, 0.0
        working = (worked - self._interrupted.worked) * self._clock.factor
        waited = self._clock.monotonic() - self._interrupted.clock - working
        return max(0.0, waited), time.monotonic() - self._interrupted.machine

    def _now(self) -> _Instant:
        fields = Path(f"/proc/{self.id}/stat").read_text().rpartition(")")[2].split()
        worked = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return _Instant(self._clock.monotonic(), time.monotonic(), worked)


def put_an_end_to(process: int) -> None:
    """Kill a process that hangs, once it has written down where its threads are."""
    os.kill(process, orchestrator.TELL_STACKS)
    time.sleep(1)
    os.kill(process, signal.SIGKILL)
