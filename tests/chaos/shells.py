"""A user's shells in jobs: `zenml-azureml jobs shell`, each in a process of its own, with ssh."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from tests.chaos import orchestrator
from tests.chaos.trial import JobRecord, ShellRecord

#: Seconds of the machine in which a shell is open, and in which one has ended.
_OPEN_WITHIN, _ENDS_WITHIN = 60.0, 40.0

_LOOK = 0.02

#: What a user runs: it lasts until it is ended.
_PROGRAM = 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec sleep 3600'


@dataclass
class _Shell:
    """One shell: its client on this machine, and the program that it runs in the job."""

    job: str
    client: int
    file: Path
    left: bool = False
    lost: bool = False
    outlived: str = ""
    _client_ended: bool = field(default=False, repr=False)

    @property
    def is_open(self) -> bool:
        """Whether the program runs, and the client waits for it."""
        return self._program_runs and not self.client_has_ended()

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it is left."""
        return not self.rest()

    def rest(self) -> str:
        """What of it is left; empty for nothing."""
        left = {"its program": self._program_runs, "its command": not self.client_has_ended()}
        return " and ".join(part for part, is_left in left.items() if is_left)

    def client_has_ended(self) -> bool:
        """Whether the command has ended; it is taken in then."""
        if not self._client_ended:
            self._client_ended = os.waitpid(self.client, os.WNOHANG)[0] != 0
        return self._client_ended

    def end_client(self, number: signal.Signals) -> None:
        """Send the command a signal, if it has not ended."""
        if not self.client_has_ended():
            os.kill(self.client, number)

    @property
    def _program_runs(self) -> bool:
        return Path(f"/proc/{self.file.read_text().strip()}").exists()


class Shells:
    """The shells of one schedule.

    Args:
        folder: Of the worker.
        enter: Has a process that was forked use the ZenML of the schedule.
        meanwhile: Called while this waits.
    """

    def __init__(self, folder: Path, enter: Callable[[], None], meanwhile: Callable[[], None]) -> None:
        self._folder = folder
        self._key = folder / "key"
        self._enter = enter
        self._meanwhile = meanwhile
        self._shells: list[_Shell] = []
        pair = asyncssh.generate_private_key("ssh-ed25519")
        pair.write_private_key(self._key)
        self._key.chmod(0o600)
        self.public_key = pair.export_public_key().decode().strip()

    def clear(self) -> None:
        """Begin with the next schedule."""
        for shell in self._shells:
            shell.end_client(signal.SIGKILL)
        self._shells = []

    def open(self, jobs: Iterable[str], mutate: Callable[[], None]) -> tuple[str, ...]:
        """Open a shell in each of some jobs; names of those in which one is open.

        Raises:
            RuntimeError: If this machine has no ssh.
        """
        if shutil.which("ssh") is None:
            raise RuntimeError("The chaos suite needs the program `ssh`, to open shells in jobs.")
        opened = [self._start(job, mutate) for job in jobs]
        self._wait(_OPEN_WITHIN, lambda: all(one.file.exists() or one.client_has_ended() for one in opened))
        self._shells += [one for one in opened if one.file.exists()]
        return tuple(one.job for one in opened if one.file.exists())

    def leave(self) -> tuple[str, ...]:
        """Leave those that are open, as a terminal does that is closed; names of their jobs."""
        leaving = [shell for shell in self._shells if shell.is_open]
        for shell in leaving:
            shell.left = True
            shell.end_client(signal.SIGHUP)
        self._wait(_ENDS_WITHIN, lambda: all(shell.is_gone for shell in leaving))
        for shell in leaving:
            shell.outlived = shell.rest()
        return tuple(shell.job for shell in leaving)

    def take_in(self, jobs: Iterable[JobRecord]) -> None:
        """Take in what has become of them, as far as that is known from the jobs, which do not change any more."""
        unfinished = {job.name for job in jobs if not job.ended}
        ending = [shell for shell in self._shells if shell.job not in unfinished and not shell.left]
        self._wait(_ENDS_WITHIN, lambda: all(shell.is_gone for shell in ending))
        for shell in ending:
            shell.outlived = shell.rest()
        for shell in self._shells:
            shell.lost |= shell.job in unfinished and not shell.left and not shell.is_open

    def records(self) -> tuple[ShellRecord, ...]:
        """What has become of them."""
        return tuple(ShellRecord(one.job, one.left, one.lost, one.outlived) for one in self._shells)

    def _start(self, job: str, mutate: Callable[[], None]) -> _Shell:
        file = self._folder / "desk" / f"shell-{job}"
        command = ("jobs", "shell", job, "--identity", str(self._key), "--", "sh", "-c", _PROGRAM, str(file))

        def work() -> None:
            with Path(os.devnull).open() as nothing:
                os.dup2(nothing.fileno(), 0)
            self._enter()
            orchestrator.carry_out(command, mutate)

        return _Shell(job, orchestrator.fork(self._folder / "shells.txt", work), file)

    def _wait(self, seconds: float, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not is_so() and time.monotonic() < deadline:
            self._meanwhile()
            time.sleep(_LOOK)
