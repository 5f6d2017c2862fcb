"""The steps of one operator in this process: everything that is known of each stands in one object."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.exceptions import RunInterruptedException

from zenml_azureml.lifecycle.attempts import recorded
from zenml_azureml.lifecycle.cost_limit import Spending
from zenml_azureml.lifecycle.recent import Recent
from zenml_azureml.lifecycle.recovery import Attempt, Limits, RetryReason, with_next
from zenml_azureml.lifecycle.state import StepPhase, StepState
from zenml_azureml.lifecycle.worker_pool import Work
from zenml_azureml.run_store import job_names
from zenml_azureml.settings.step_plan import StepPlan

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.settings.of_steps import SettingsOfSteps


#: Number of stopped runs that are remembered.
_REMEMBERED = 256

#: The reason for a stop, as a clause: a signal or an exception has ended the process or its run.
INTERRUPTED = "the pipeline run was interrupted"


class Guard(Enum):
    """The reason for which the supervisor cancels the job of a step."""

    NONE = "a caller waits for the step, or its job has ended"
    SIGNAL = "no caller waits for the step yet"
    RUN = "no caller waits for the step, and the status of its run shows if a process still does"
    EXIT = "a caller waits for the step; if the process ends before it, so must the job"


@dataclass(frozen=True)
class Reservation:
    """What a job can cost at most, within the cost limits of its step.

    Attributes:
        job: The job.
        usd: US dollars.
        spending: What counted against the limit of its run at its submit; None if the run has no limit.
    """

    job: str
    usd: float
    spending: Spending | None = None


@dataclass(eq=False)
class StepExecution:
    """One step run.

    Thread-safe: `state` is replaced under the lock; of the other fields each is written by one thread at a time.

    Attributes:
        step_run: The step run.
        plan: Its resolved settings.
        state: Its state.
        guard: The reason for which the supervisor cancels its job.
        work: Work on it in another thread.
        cancelling: Set when the thread that cancels its job is done; None if there is none.
        cancelled_at: Time when a cancel for its queue timeout was requested.
        is_refused: True if Azure did not cancel its job.
        is_held: True if the step has failed, and its job is held open.
        has_warned: True if a log line says that its end could not be published.
        reservation: What its newest job can cost at most; None without cost limits.
    """

    step_run: StepRunResponse
    plan: StepPlan
    state: StepState
    guard: Guard = Guard.NONE
    work: Work | None = None
    cancelling: threading.Event | None = None
    cancelled_at: float = -math.inf
    is_refused: bool = False
    is_held: bool = False
    has_warned: bool = False
    reservation: Reservation | None = None
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def id(self) -> UUID:
        """The id of the step run."""
        return self.step_run.id

    @property
    def run_id(self) -> UUID:
        """The id of its pipeline run."""
        return self.step_run.pipeline_run_id

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.step_run.name

    @property
    def all_job_names(self) -> list[str]:
        """Names of its jobs, the oldest first; at least one, which may not exist yet."""
        return [attempt.job for attempt in self.state.attempts if attempt.job] or [job_names.job_name_of(self.id)]

    @property
    def job_name(self) -> str:
        """Name of its newest job, the only one that may be unfinished; the job may not exist yet."""
        return self.all_job_names[-1]

    def begin(self, attempt: Attempt) -> tuple[Attempt, ...]:
        """Add an attempt, or replace the newest one if that has no end; return all attempts."""
        with self.lock:
            self.state = replace(self.state, attempts=with_next(self.state.attempts, attempt))
            return self.state.attempts

    @property
    def limits(self) -> Limits:
        """The limits for resubmitting it."""
        return Limits(len(self.plan.targets), self.plan.settings.max_preemptions)


class Executions:
    """The steps of one operator.

    Thread-safe: a lock guards the tables.

    Args:
        settings: The settings of its steps.

    Attributes:
        stopped_runs: The reason, as a clause, why no further job of a run may be submitted; by the run's id. Their
            last steps may still be on their way, so these runs are remembered for longer than their steps.
    """

    def __init__(self, settings: SettingsOfSteps) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._steps: dict[UUID, StepExecution] = {}
        self.stopped_runs: Recent[UUID, str] = Recent(_REMEMBERED)

    def of(self, step_run: StepRunResponse) -> StepExecution:
        """Return a step run; one that another process has submitted with the state that ZenML's server knows.

        Raises:
            AzureMLSettingsError: If its settings are invalid.
        """
        step = self._steps.get(step_run.id)
        if step is None:
            new = StepExecution(step_run, self._settings.plan(step_run), state_from(step_run))
            with self._lock:
                step = self._steps.setdefault(step_run.id, new)
        return step

    def of_run(self, run_id: UUID) -> list[StepExecution]:
        """Return the steps of a run that are not forgotten yet."""
        with self._lock:
            return [step for step in self._steps.values() if step.run_id == run_id]

    def forget(self, step_run_id: UUID) -> None:
        """Forget a step run that is over."""
        with self._lock:
            self._steps.pop(step_run_id, None)

    def guarded(self, *guards: Guard) -> list[StepExecution]:
        """Return the steps whose jobs the supervisor cancels for one of these reasons; for any, without arguments."""
        with self._lock:
            steps = list(self._steps.values())
        return [step for step in steps if step.guard in (guards or (Guard.SIGNAL, Guard.RUN, Guard.EXIT))]

    def abandon(self) -> None:
        """Leave all jobs to the parent process, in a forked child, which has none of its threads."""
        self._lock = threading.Lock()  # a thread of the parent may have held the old one
        for step in self._steps.values():
            step.guard, step.work, step.cancelling, step.lock = Guard.NONE, None, None, threading.RLock()

    def stop(self, steps: Iterable[StepExecution], reason: str) -> None:
        """Allow no further job of the runs of steps.

        Args:
            steps: The steps.
            reason: The reason, as a clause.
        """
        with self._lock:
            self.stopped_runs.update({step.run_id: reason for step in steps})

    def note_interruption(self, step: StepExecution, interruption: BaseException) -> None:
        """Allow no further job of a step's run if an exception means that the process was interrupted."""
        if isinstance(interruption, (KeyboardInterrupt, SystemExit, RunInterruptedException)):
            with self._lock:
                self.stopped_runs.setdefault(step.run_id, INTERRUPTED)

    def why_stopped(self, step: StepExecution) -> str:
        """Return why this process cancelled the job of a step, as a clause; empty if it did not."""
        return step.state.stop_reason or self.stopped_runs.get(step.run_id, "")


def state_from(step_run: StepRunResponse) -> StepState:
    """Return the state of a step run as ZenML's server knows it: its job may exist, even if it is not recorded.

    Args:
        step_run: The step run.
    """
    attempts = recorded(step_run)
    is_moving = attempts[-1].reason is RetryReason.QUEUE_TIMEOUT
    return StepState(StepPhase.MOVING if is_moving else StepPhase.QUEUED, attempts)
