"""One schedule, carried out: everything that is known afterwards."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from tests.chaos import orchestrator, recovery
from tests.chaos.catalogue import EVENTS, FAULTS, SECRET
from tests.chaos.emulated import Address, Admin
from tests.chaos.home import Home, RunRecord
from tests.chaos.schedule import Schedule

#: With up to seven digits of a second, as Azure tells times.
_MOMENT: TypeAdapter[datetime | None] = TypeAdapter(datetime | None)

#: Job states after which nothing changes any more.
ENDED = frozenset({"Completed", "Failed", "Canceled"})

#: Seconds, of this machine's, after which a process is taken to hang.
HANGS_AFTER = 90.0

#: Seconds, of this machine's, that a job may take to end which was asked to.
JOBS_END_WITHIN = 5.0


@dataclass(frozen=True)
class JobRecord:
    """A job as the emulator has it."""

    name: str
    status: str
    step_run_id: str
    step: str
    created_at: datetime
    ended_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass
class Trial:
    """What became of a schedule.

    Attributes:
        schedule: What was planned.
        output: What the orchestrator printed.
        exit_code: Its exit code, negative for a signal.
        hung: Whether it had to be killed.
        run: ZenML's account.
        jobs: The emulator's account, once the orchestrator was gone.
        fired: How often each fault happened.
        happened: Which events did.
        killed_ranks: By job: which of its processes was killed.
        secrets: Names of the secrets that were in the key vault then.
        told_secret: Whether a job's definition had a secret in it.
        recovered: The jobs after the recovery command, where that was needed.
        recovered_run: ZenML's account then.
        recovered_secrets: The secrets then.
        recovery_output: What it printed.
        seconds: How long it took.
    """

    schedule: Schedule
    output: str = ""
    exit_code: int = 0
    hung: bool = False
    run: RunRecord | None = None
    jobs: tuple[JobRecord, ...] = ()
    fired: Counter[int] = field(default_factory=Counter)
    happened: set[int] = field(default_factory=set)
    killed_ranks: dict[str, int] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    told_secret: bool = False
    recovered: tuple[JobRecord, ...] | None = None
    recovered_run: RunRecord | None = None
    recovered_secrets: tuple[str, ...] = ()
    recovery_output: str = ""
    seconds: float = 0.0


class Stage:
    """Where schedules are carried out, one at a time.

    Args:
        folder: For outputs.
        home: The ZenML.
        address: Where the emulator is.
        factor: How many times as fast as the machine's the time is.
    """

    def __init__(self, folder: Path, home: Home, address: Address, factor: float) -> None:
        self._folder = folder
        self._address = address
        self._home = home
        self._admin = Admin(address)
        self._factor = factor

    def carry_out(self, schedule: Schedule, mutate: Callable[[], None] = lambda: None) -> Trial:
        """Carry a schedule out.

        Args:
            schedule: What is planned.
            mutate: Breaks the operator in the orchestrator's process.
        """
        began = time.monotonic()
        trial = Trial(schedule)
        os.environ.update(self._address.variables())
        self._admin.reset()
        self._home.begin(self._folder)
        if schedule.via_vault:
            self._admin.open_vault(_workspace_path())
        if schedule.waits_in_vain:
            self._admin.let_wait()
        for planned in schedule.faults:
            self._admin.arm(planned)
        output = self._folder / "output.txt"
        output.unlink(missing_ok=True)
        mine, its = socket.socketpair()

        def work() -> None:
            mine.close()
            orchestrator.run(schedule, its, self._factor, mutate)

        process = orchestrator.fork(output, work)
        its.close()
        with mine:
            self._attend(trial, process, mine)
        self._note_fired(trial)
        trial.output = output.read_text(errors="replace")
        trial.jobs = self._jobs_at_rest()
        trial.run = self._home.record(_run_name(schedule))
        if schedule.via_vault:
            trial.secrets = tuple(self._admin.secrets())
            trial.told_secret = SECRET in self._admin.definitions(_workspace_path())
        if any(not job.ended for job in trial.jobs) or trial.secrets:
            trial.recovery_output = self._recover(trial)
            trial.recovered = self._jobs_at_rest()
            trial.recovered_run = self._home.record(_run_name(schedule))
            trial.recovered_secrets = tuple(self._admin.secrets())
        trial.seconds = time.monotonic() - began
        return trial

    def _attend(self, trial: Trial, process: int, its: socket.socket) -> None:
        """Do what the process asks for, until it is gone."""
        deadline = time.monotonic() + HANGS_AFTER
        buffer = b""
        while True:
            readable, _, _ = select.select([its], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                trial.hung = True
                os.kill(process, orchestrator.TELL_STACKS)
                time.sleep(1)
                os.kill(process, signal.SIGKILL)
                break
            try:
                data = its.recv(4096)
            except ConnectionResetError:  # it was gone before it had read our last answer
                break
            if not data:
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                self._take_in(trial, line.decode(), its)
        _, status = os.waitpid(process, 0)
        trial.exit_code = os.waitstatus_to_exitcode(status)

    def _take_in(self, trial: Trial, line: str, its: socket.socket) -> None:
        kind, _, index = line.partition(" ")
        if kind == "fault":
            trial.fired[int(index)] += 1
            return
        trial.happened.add(int(index))
        planned = trial.schedule.events[int(index)]
        event = planned.event
        if EVENTS[event].by_signal:
            return
        if event in ("runs stop", "forced runs stop"):
            run_id = self._home.run_id(_run_name(trial.schedule))
            self._elsewhere(lambda: _stop_run(run_id, graceful=event == "runs stop"))
        elif event == "evicted":
            self._admin.evict_all_jobs()
        elif event == "rank killed":
            if job := self._admin.kill_rank(planned.rank):
                trial.killed_ranks[job] = planned.rank
            else:
                trial.happened.remove(int(index))
        else:
            self._admin.cancel_all_jobs(_workspace_path())
        try:
            its.send(b".")
        except OSError:  # it is gone by now
            return

    def _elsewhere(self, work: Callable[[], None]) -> str:
        """Do something in another process; what it printed."""
        output = self._folder / "elsewhere.txt"
        output.unlink(missing_ok=True)
        process = orchestrator.fork(output, work)
        os.waitpid(process, 0)
        return output.read_text(errors="replace")

    def _note_fired(self, trial: Trial) -> None:
        armed = [index for index, p in enumerate(trial.schedule.faults) if not FAULTS[p.fault].on_client]
        for index, fired in zip(armed, self._admin.disarm(), strict=True):
            trial.fired[index] += fired

    def _jobs_at_rest(self) -> tuple[JobRecord, ...]:
        """The jobs, once those have ended that are about to."""
        deadline = time.monotonic() + JOBS_END_WITHIN
        while True:
            found = self._admin.jobs()
            ending = [job for job in found if job["status"] in ("CancelRequested", "Finalizing")]
            if not ending or time.monotonic() > deadline:
                return tuple(_job_record(job) for job in found)
            time.sleep(0.005)

    def _recover(self, trial: Trial) -> str:
        """Do what docs/jobs.md tells to do about a process that was killed."""
        unfinished = [job.name for job in trial.jobs if not job.ended]
        return "".join(
            self._elsewhere(lambda command=command: recovery.carry_out(command, self._factor))  # type: ignore[misc]
            for command in recovery.commands(
                trial.schedule, _run_name(trial.schedule), unfinished, secrets_left=bool(trial.secrets)
            )
        )


def _job_record(job: dict[str, Any]) -> JobRecord:
    tags = job["tags"]
    created, ended = (_MOMENT.validate_python(job[name]) for name in ("created", "ended"))
    assert created is not None
    return JobRecord(job["name"], job["status"], tags["zenml_step_run_id"], tags["zenml_step"], created, ended)


def _run_name(schedule: Schedule) -> str:
    from tests.chaos import pipelines

    return pipelines.run_name(schedule)


def _stop_run(run_id: str, *, graceful: bool) -> None:
    """As `zenml pipeline runs stop` does; to force it is more than the local orchestrator can, but it is asked to."""
    from zenml.client import Client
    from zenml.utils import run_utils

    run_utils.stop_run(run=Client().get_pipeline_run(UUID(run_id)), graceful=graceful)


def _workspace_path() -> str:
    from zenml_azureml.emulator.state import PROVIDER, WorkspaceName

    place = WorkspaceName()
    group = f"/subscriptions/{place.subscription_id}/resourceGroups/{place.resource_group}"
    return f"{group}/providers/{PROVIDER}/workspaces/{place.name}"
