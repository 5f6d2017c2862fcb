"""The step's process as its watcher sees it from outside, on Linux: its life and its end. Standard library only."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zenml_azureml.contract.own_end import OWN_SIGNAL

#: Time between two checks if the kernel has no descriptors of processes.
_CHECK_SECONDS: Final = 0.25

#: Time that a process may take to end after a signal that it does not handle.
_DYING_SECONDS: Final = 5.0

_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process, also after its number was given to another.

    Attributes:
        pid: Its number.
        started: Time of its start, in the kernel's clock ticks.
    """

    pid: int
    started: str

    def lives(self) -> bool:
        """True if it has not ended; one that has ended and whose parent has not noticed yet has ended."""
        fields = _stat(self.pid)
        return fields is not None and fields[19] == self.started and fields[0] not in ("Z", "X")

    def send(self, number: int) -> None:
        """Send it a signal, if it still lives."""
        if self.lives():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)

    def handles(self, number: int) -> bool:
        """True if it has a handler of its own for a signal."""
        return bool(self._mask("SigCgt") >> (number - 1) & 1)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end.

        Args:
            seconds: The longest time to wait; None for no limit.

        Returns:
            True if it has ended.
        """
        until = None if seconds is None else time.monotonic() + seconds
        descriptor = self._descriptor()
        try:
            while self.lives():
                left = _CHECK_SECONDS if until is None else min(_CHECK_SECONDS, until - time.monotonic())
                if left <= 0:
                    return False
                if descriptor is None:
                    time.sleep(left)
                else:
                    select.select([descriptor], [], [], 60 if until is None else max(0.0, until - time.monotonic()))
            return True
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def descendants(self) -> list[Process]:
        """Its children, their children and so on."""
        children: dict[int, list[int]] = {}
        found: dict[int, str] = {}
        for entry in _PROC.iterdir():
            if entry.name.isdecimal() and (fields := _stat(int(entry.name))) is not None:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
                found[int(entry.name)] = fields[19]
        tree, todo = [], [self.pid]
        while todo:
            for pid in children.get(todo.pop(), []):
                tree.append(Process(pid, found[pid]))
                todo.append(pid)
        return [process for process in tree if process.pid != os.getpid()]

    def end(self, grace_seconds: float) -> bool:
        """End it and its descendants.

        A handler for SIGTERM gets time to save what it wants to save. A process without one has nothing to do
        with it, so it gets the signal that shows in the exit code at once.

        Args:
            grace_seconds: Time that its handler for SIGTERM may take.

        Returns:
            True if it has ended. The kernel protects the first process of a container from signals that it does not
            handle.
        """
        tree = self.descendants()
        if self.handles(signal.SIGTERM):
            self.send(signal.SIGTERM)
            self.wait(grace_seconds)
        tree += self.descendants() if self.lives() else []
        for number in (OWN_SIGNAL, signal.SIGKILL) if self.pid != 1 else (signal.SIGINT,):
            if self.lives() and (self.pid != 1 or self.handles(number)):
                self.send(number)
                self.wait(_DYING_SECONDS)
        _kill(tree)
        return not self.lives()

    def _descriptor(self) -> int | None:
        try:
            return os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            return None

    def _mask(self, name: str) -> int:
        try:
            for line in (_PROC / str(self.pid) / "status").read_text().splitlines():
                key, _, value = line.partition(":")
                if key == name:
                    return int(value, 16)
        except (OSError, ValueError):
            pass
        return 0


def process_with(pid: int) -> Process | None:
    """The process that has a number now; None if there is none."""
    fields = _stat(pid)
    return None if fields is None else Process(pid, fields[19])


def _kill(processes: Iterable[Process]) -> None:
    for process in processes:
        process.send(signal.SIGKILL)


def _stat(pid: int) -> list[str] | None:
    """The fields after the name, which may hold anything: state, parent and so on."""
    try:
        content = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return content.rpartition(")")[2].split()
