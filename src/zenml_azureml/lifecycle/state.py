"""The state of one step run, the events that change it, and the actions that follow from them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.recovery import Attempt


class StepPhase(Enum):
    """The phases of a step run. The values are words for the documents."""

    SUBMITTING = "submitting"
    QUEUED = "queued"
    RUNNING = "running"
    MOVING = "moving"  # cancelled for its queue timeout, to be resubmitted
    GIVING_UP = "giving up"  # cancelled because the step fails
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """True if the step is over."""
        return self in FINAL


FINAL = frozenset({StepPhase.SUCCEEDED, StepPhase.FAILED, StepPhase.STOPPED})


@dataclass(frozen=True)
class StepState:
    """The state of a step run.

    Attributes:
        phase: Its phase.
        attempts: The attempts to run it, the oldest first; at least one, whose job may not exist yet.
        stop_reason: The reason why this process cancelled its job, as a clause; empty if it did not.
        error: The reason why it fails; None if it does not, or not yet.
    """

    phase: StepPhase
    attempts: tuple[Attempt, ...]
    stop_reason: str = ""
    error: AzureMLError | None = None

    @property
    def attempt(self) -> Attempt:
        """The newest attempt."""
        return self.attempts[-1]

    def with_attempt(self, attempt: Attempt) -> StepState:
        """Return the state with another newest attempt."""
        return replace(self, attempts=(*self.attempts[:-1], attempt))


@dataclass(frozen=True)
class Event:
    """Something that happened to a step."""


@dataclass(frozen=True)
class Failure(Event):
    """Something went wrong.

    Attributes:
        error: The reason.
    """

    error: AzureMLError


@dataclass(frozen=True)
class JobAccepted(Event):
    """Azure has accepted a job, or had accepted it before.

    Attributes:
        attempt: The attempt that it belongs to.
    """

    attempt: Attempt


@dataclass(frozen=True)
class NoCapacity(Failure):
    """A target has no capacity for a job. The error is Azure's refusal.

    Attributes:
        attempt: The attempt, which has no job.
    """

    attempt: Attempt


@dataclass(frozen=True)
class SubmitFailed(Failure):
    """A job could not be submitted.

    Attributes:
        attempt: The attempt that has failed; None if the newest one has.
    """

    attempt: Attempt | None = None


class JobQueued(Event):
    """The job waits for its compute."""


class JobRuns(Event):
    """The job runs."""


@dataclass(frozen=True)
class QueueTimedOut(Failure):
    """The job was queued for longer than its target allows. The error is that of the step if no target is left.

    Attributes:
        attempt: Its attempt, with the reason.
    """

    attempt: Attempt


class CancelHadNoEffect(Event):
    """The job is still queued, some time after its cancellation was requested."""


@dataclass(frozen=True)
class JobEnded(Event):
    """The end of the job is known, and its log has been read.

    Attributes:
        attempt: The attempt with its times, and the reason to resubmit the step, if there is one.
        phase: The phase of the step if it is not resubmitted.
        may_resubmit: True if the step has not reported its end.
    """

    attempt: Attempt
    phase: StepPhase
    may_resubmit: bool = False


@dataclass(frozen=True)
class JobHeld(Event):
    """The step has reported its failure, and its job is held open: it counts as ended. Its log has been read.

    Attributes:
        attempt: The attempt, which has no end yet.
    """

    attempt: Attempt


class JobLost(Failure):
    """The job can no longer be watched; it may still run."""


class JobOver(Event):
    """The job of a step that is given up was cancelled, as far as that was possible."""


@dataclass(frozen=True)
class StopRequested(Event):
    """The step must end: a user has stopped the run, or the process ends.

    Attributes:
        reason: The reason, as a clause.
    """

    reason: str


class SubmitStopped(Failure):
    """A submission was stopped before it sent a job."""


class GiveUp(Failure):
    """The step cannot be continued."""


class CancelRefused(Failure):
    """Azure did not cancel the job of a stopped step."""


class Action(Enum):
    """What the controller does. The values are words for the documents."""

    SUBMIT = "submit to the next target"
    SAVE_ATTEMPTS = "save the attempts"
    CANCEL = "cancel"
    END_JOB = "cancel, and wait for the end"
    RELEASE_PREVIOUS = "release the previous job"
    CONCLUDE = "save cost, publish the end"
    FAIL = "publish the failure"
    PUBLISH_STOPPED = "publish the stop"
