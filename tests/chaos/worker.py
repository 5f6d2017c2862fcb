"""A worker process: it carries out one schedule after the other, in a ZenML and on emulators that nobody else uses."""

from __future__ import annotations

import json
import os
import signal
import socket
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from tests.chaos.emulated import Address
from tests.chaos.home import Home
from tests.chaos.mutants import MUTANTS
from tests.chaos.rules import broken
from tests.chaos.schedule import Part
from tests.chaos.task import Result, Task
from tests.chaos.trial import Stage, Trial

#: How many times as fast as the machine's the time is, for jobs that pretend and for real ones.
FACTORS: dict[Part, float] = {"simulated": 60, "real": 20}


class WorkerProcess:
    """A worker that was forked from this process, and ends with it.

    Args:
        folder: Its own; it exists.
        home: A ZenML that is warm.
        emulators: Where its emulators are.
    """

    def __init__(self, folder: Path, home: Home, emulators: Mapping[Part, Address]) -> None:
        mine, its = socket.socketpair()
        self._process = os.fork()
        if self._process == 0:
            mine.close()
            try:
                _work(
                    its.makefile("rw"),
                    {part: Stage(folder, home, address, FACTORS[part]) for part, address in emulators.items()},
                )
            except BaseException:  # noqa: BLE001 - as the interpreter, whatever it is
                traceback.print_exc()
            finally:
                os._exit(0)
        its.close()
        self._socket = mine
        self._file = mine.makefile("rw")

    def carry_out(self, task: Task) -> Result:
        """Have a task carried out.

        Raises:
            RuntimeError: If the worker has died of it.
        """
        self._file.write(json.dumps(asdict(task)) + "\n")
        self._file.flush()
        line = self._file.readline()
        if not line:
            raise RuntimeError(f"A worker died of {task.name}.")
        return Result(**json.loads(line))

    def close(self) -> None:
        """Let it end."""
        self._socket.shutdown(socket.SHUT_RDWR)
        os.waitpid(self._process, 0)


def _work(suite: IO[str], stages: Mapping[Part, Stage]) -> None:
    """Carry out the tasks that come in, one per line, until there is none."""
    for line in suite:
        values: dict[str, Any] = json.loads(line)
        values["about"] = tuple(values["about"]) if values["about"] else None
        suite.write(json.dumps(asdict(_carry_out(Task(**values), stages))) + "\n")
        suite.flush()


def _carry_out(task: Task, stages: Mapping[Part, Stage]) -> Result:
    planned = task.schedule()
    trial = stages[task.part].carry_out(planned, MUTANTS[task.mutant].mutate)
    found = broken(trial)
    return Result(
        name=task.name,
        description=planned.describe(),
        broken=found,
        fired=[(f.phase, f.fault) for index, f in enumerate(planned.faults) if trial.fired[index]],
        happened=[(e.phase, e.event) for index, e in enumerate(planned.events) if index in trial.happened],
        killed=trial.exit_code == -signal.SIGKILL,
        seconds=trial.seconds,
        account=_account(trial) if found else "",
    )


def _account(trial: Trial) -> str:
    lines = [
        f"exit code: {trial.exit_code}",
        f"run: {trial.run}",
        *(f"job: {job}" for job in trial.jobs),
        f"fired: {dict(trial.fired)}, happened: {sorted(trial.happened)}, killed ranks: {trial.killed_ranks}",
        trial.output,
    ]
    if trial.recovered is not None:
        lines += ["recovery:", trial.recovery_output, *(f"job: {job}" for job in trial.recovered)]
    return "\n".join(lines)
