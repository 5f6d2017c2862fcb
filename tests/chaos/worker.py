"""A worker process: it carries out one schedule after the other, in a ZenML and on emulators that no other uses."""

from __future__ import annotations

import json
import os
import socket
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from tests.chaos.catalogue import DATA, HELD_SHELL, HOLD, RECOVERY, SHELL
from tests.chaos.emulated import EmulatorProcess
from tests.chaos.home import Home
from tests.chaos.mutants import MUTANTS
from tests.chaos.rules import broken
from tests.chaos.schedule import Part
from tests.chaos.stage import Stage
from tests.chaos.task import Result, Task
from tests.chaos.trial import Trial

#: How many times as fast as the machine's the time is.
FACTORS: dict[Part, float] = {"simulated": 60, "real": 20, "server": 20}


class WorkerProcess:
    """A worker that was forked from this process, and ends with it.

    Args:
        folder: Its own; it exists.
        homes: A ZenML that is warm, for each part.
        emulators: Its emulators.
    """

    def __init__(self, folder: Path, homes: Mapping[Part, Home], emulators: Mapping[Part, EmulatorProcess]) -> None:
        mine, its = socket.socketpair()
        self._process = os.fork()
        if self._process == 0:
            mine.close()
            try:
                stages = {
                    part: Stage(folder, homes[part], each.address, each.clock) for part, each in emulators.items()
                }
                _work(its.makefile("rw"), stages)
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
        values = json.loads(line)
        for name in ("broken", "happened"):
            values[name] = [tuple(each) for each in values[name]]
        return Result(**values)

    def close(self) -> None:
        """Let it end."""
        self._socket.shutdown(socket.SHUT_RDWR)
        os.waitpid(self._process, 0)


def _work(suite: IO[str], stages: Mapping[Part, Stage]) -> None:
    """Carry out the tasks that come in, one per line, until there is none."""
    for line in suite:
        values: dict[str, Any] = json.loads(line)
        suite.write(json.dumps(asdict(_carry_out(Task(**values), stages))) + "\n")
        suite.flush()


def _carry_out(task: Task, stages: Mapping[Part, Stage]) -> Result:
    planned = task.schedule()
    try:
        trial = stages[task.part].carry_out(planned, MUTANTS[task.mutant].mutate)
    except Exception:  # noqa: BLE001 - of the suite itself: no trial, and no finding
        return Result(task.name, planned.describe(), crashed=traceback.format_exc())
    found = broken(trial)
    prefix = HOLD if planned.holds else DATA if planned.with_data else ""
    if planned.with_shell:
        prefix = HELD_SHELL if planned.holds else SHELL
    happened = [
        (f"{RECOVERY if f.recovery else prefix}{f.phase}", f.fault)
        for index, f in enumerate(planned.faults)
        if trial.fired[index] and not f.trap
    ]
    happened += [(f"{prefix}{e.phase}", e.event) for index, e in enumerate(planned.events) if trial.has_happened(index)]
    return Result(
        name=task.name,
        description=planned.describe(),
        broken=[(each.rule, each.what) for each in found],
        untested=trial.untested,
        happened=happened,
        seconds=trial.seconds,
        account=_account(trial) if found or trial.untested else "",
    )


def _account(trial: Trial) -> str:
    lines = [
        f"exit code: {trial.exit_code}, let go: {trial.let_go}, hung: {trial.hung}",
        f"run: {trial.run}",
        *(f"job: {job}" for job in trial.jobs),
        *(f"event {index}: {moment}" for index, moment in trial.moments.items()),
        f"fired: {dict(trial.fired)}, killed ranks: {trial.killed_ranks}, written: {trial.written}",
        trial.output,
    ]
    if trial.recovery is not None:
        lines += [f"recovery: {trial.recovery.exit_codes} {trial.recovery.run}", trial.recovery.output]
        lines += [f"job: {job}" for job in trial.recovery.jobs]
    return "\n".join(lines)
