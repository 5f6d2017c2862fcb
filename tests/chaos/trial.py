"""One schedule, carried out: everything that is known afterwards. Plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tests.chaos.catalogue import ALL_EVENTS
from tests.chaos.schedule import Schedule

#: Job states after which nothing changes any more.
ENDED = frozenset({"Completed", "Failed", "Canceled"})


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


@dataclass(frozen=True)
class StepRecord:
    """A step run as ZenML's database has it."""

    id: str
    name: str
    status: str
    cause: str = ""
    version: int = 1
    has_usage: bool = False


@dataclass(frozen=True)
class RunRecord:
    """A pipeline run as ZenML's database has it."""

    status: str
    steps: tuple[StepRecord, ...]


@dataclass(frozen=True)
class ShellRecord:
    """A shell that a user opened in a job.

    Attributes:
        job: Name of the job.
        left: Whether the user left it.
        lost: Whether it ended, though its job went on and nobody left it.
        outlived: What of it was still there when its job had ended, or its user had left; empty for nothing.
    """

    job: str
    left: bool = False
    lost: bool = False
    outlived: str = ""


@dataclass(frozen=True)
class Moment:
    """How things stood when an event happened.

    Attributes:
        seconds: On the clock that both sides share.
        run: ZenML's account; None before the run was made.
        jobs: The emulator's.
        hit: Names of the jobs that it happened to, where it happens to jobs.
    """

    seconds: float = 0.0
    run: RunRecord | None = None
    jobs: tuple[JobRecord, ...] = ()
    hit: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recovery:
    """What the commands for the jobs of a killed process came to.

    Attributes:
        output: What they printed.
        exit_codes: Of each.
        jobs: The emulator's account after them.
        run: ZenML's.
        secrets: Names of the secrets that were in the key vault.
        released: Whether the jobs were let come to their own ends.
    """

    output: str
    exit_codes: tuple[int, ...]
    jobs: tuple[JobRecord, ...]
    run: RunRecord | None
    secrets: tuple[str, ...] = ()
    released: bool = False


@dataclass
class Trial:
    """What became of a schedule.

    Attributes:
        schedule: What was planned.
        output: What the orchestrator printed; of both processes, where it was started again.
        exit_code: Its exit code, negative for a signal.
        hung: Whether it had to be killed.
        let_go: How long it went on after the last interruption: seconds of its clock, without those in which it took
            processor time, and of the machine's.
        run: ZenML's account.
        jobs: The emulator's account, once the orchestrator was gone.
        fired: How often each fault happened.
        moments: When each event happened that did.
        killed_ranks: By job: which of its processes was killed.
        written: How many lines each process of each job has logged, by the job's name and the rank, where it is known.
        inputs: By job: what it reads, in its definition.
        shells: Those that a user opened in jobs.
        secrets: Names of the secrets that were in the key vault then.
        told_secret: Whether a job's definition, or ZenML's account of the run, had a secret in it.
        by_itself: The jobs some time after a process was killed whose jobs watch a server, before anything was done.
        recovery: What was done about what a killed process left.
        seconds: How long it took.
    """

    schedule: Schedule
    output: str = ""
    exit_code: int = 0
    hung: bool = False
    let_go: tuple[float, float] = (0.0, 0.0)
    run: RunRecord | None = None
    jobs: tuple[JobRecord, ...] = ()
    fired: Counter[int] = field(default_factory=Counter)
    moments: dict[int, Moment] = field(default_factory=dict)
    killed_ranks: Mapping[str, int] = field(default_factory=dict)
    written: Mapping[tuple[str, int], int] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    shells: tuple[ShellRecord, ...] = ()
    secrets: tuple[str, ...] = ()
    told_secret: bool = False
    by_itself: tuple[JobRecord, ...] | None = None
    recovery: Recovery | None = None
    seconds: float = 0.0

    @property
    def untested(self) -> list[str]:
        """What was planned and did not happen: such a trial shows nothing."""
        faults = [
            f"{planned.fault} at {planned.phase}"
            for index, planned in enumerate(self.schedule.faults)
            if not planned.trap and not self.fired[index]
        ]
        events = [
            f"{planned.event} at {planned.phase}"
            for index, planned in enumerate(self.schedule.events)
            if not self.has_happened(index)
        ]
        return faults + events

    def has_happened(self, index: int) -> bool:
        """Whether an event happened, and to a job, where it happens to jobs."""
        moment = self.moments.get(index)
        return moment is not None and (bool(moment.hit) or not ALL_EVENTS[self.schedule.events[index].event].to_jobs)
