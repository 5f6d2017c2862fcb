"""Decides which jobs are orphans: no step run needs them any more. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

#: How long a job may keep running after its step has succeeded: the step's code reports that before its process ends,
#: and Azure ML ends the job some seconds after it. Cancelling the job in between would turn a success into a failure.
LEAVING_TIME = timedelta(minutes=2)

#: Reason why a finished job is listed: ZenML's server was unavailable when it ended.
END_UNKNOWN = "ended, ZenML does not know"

#: Status of a job whose process has ended, and which Azure ML is about to end.
_FINALIZING = "Finalizing"


@dataclass(frozen=True)
class JobFacts:
    """Facts about a job.

    Attributes:
        status: Azure's name of its status.
        ended: True if it has ended.
        server_id: Id of the ZenML server that its tags name; empty if they name none.
        end_is_known: False if it has ended, but its step run is still running according to that server.
    """

    status: str
    ended: bool
    server_id: str
    end_is_known: bool = True


@dataclass(frozen=True)
class StepRunFacts:
    """Facts about a step run.

    Attributes:
        status: ZenML's name of its status.
        finished: True if it is finished.
        successful: True if it is finished and succeeded.
        ended_at: When it ended; None if it did not, or the time is unknown.
        over: Reason why its job is not needed although it is not finished, as a phrase; empty if it is needed.
        held_until: The end of the hold of its job, which is held open after the step has failed; None if it is not.
    """

    status: str
    finished: bool
    successful: bool
    ended_at: datetime | None
    over: str = ""
    held_until: datetime | None = None


class NoStepRun(Enum):
    """Reason why a step run is unknown."""

    GONE = "the server has no step run with this id"
    NOT_TOLD = "the server is unavailable"


@dataclass(frozen=True)
class OrphanStatus:
    """Decision if a job is an orphan.

    Attributes:
        orphan: True if it is; None if unknown.
        reason: Reason, as a phrase; empty for a job that has ended or that its step run needs.
    """

    orphan: bool | None
    reason: str


def judge(job: JobFacts, server_id: str | None, step_run: StepRunFacts | NoStepRun, now: datetime) -> OrphanStatus:
    """Decide if a job is an orphan: unfinished, of this server, and its step run is finished, deleted or over.

    The step runs of another server are unknown here, so its jobs may still be needed.

    Args:
        job: The job.
        server_id: Id of this ZenML server; None if it cannot be reached.
        step_run: The job's step run, as this server knows it.
        now: The time.
    """
    if job.ended:
        return OrphanStatus(orphan=False, reason="" if job.end_is_known else END_UNKNOWN)
    unknown = _why_unknown(job, server_id, step_run)
    if unknown:
        return OrphanStatus(orphan=None, reason=unknown)
    if isinstance(step_run, StepRunFacts) and not step_run.finished and not step_run.over:
        return OrphanStatus(orphan=False, reason="")
    ending = _why_ending(job, step_run, now)
    if ending:
        return OrphanStatus(orphan=False, reason=ending)
    if isinstance(step_run, StepRunFacts):
        return OrphanStatus(orphan=True, reason=step_run.over or f"its step run is {step_run.status}")
    return OrphanStatus(orphan=True, reason="its step run is gone")


def _why_unknown(job: JobFacts, server_id: str | None, step_run: StepRunFacts | NoStepRun) -> str:
    if not job.server_id:
        return "no ZenML server in its tags"
    if server_id is not None and job.server_id != server_id:
        return "another ZenML server"
    if server_id is None or step_run is NoStepRun.NOT_TOLD:
        return "server cannot be reached"
    return ""


def _why_ending(job: JobFacts, step_run: StepRunFacts | NoStepRun, now: datetime) -> str:
    if job.status == _FINALIZING:
        return "it is ending by itself"
    if isinstance(step_run, StepRunFacts) and step_run.held_until is not None:
        return f"held open until {step_run.held_until:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(step_run, StepRunFacts) and step_run.successful and step_run.ended_at is not None:
        return "its step has just completed" if now - step_run.ended_at < LEAVING_TIME else ""
    return ""
