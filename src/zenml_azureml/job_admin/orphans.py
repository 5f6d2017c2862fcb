"""Which jobs nobody needs any more. Pure: facts in, a judgement out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

#: How long a job may go on after its step has succeeded: the step's code reports that before its process ends,
#: and Azure ML ends the job some seconds after it. To cancel it then would make a failure of a success.
LEAVING_TIME = timedelta(minutes=2)

#: Why a finished job is listed: ZenML's server was unavailable when it ended.
END_UNKNOWN = "ended, ZenML does not know"

#: The status of a job whose process has ended, and which Azure ML itself is about to end.
_FINALIZING = "Finalizing"


@dataclass(frozen=True)
class JobFacts:
    """What is known of a job.

    Attributes:
        status: Its status in Azure's words.
        ended: Whether it is over.
        server_id: Id of the ZenML server that its tags name; empty if they name none.
        end_is_known: False if it is over and that server takes its step run to be running.
    """

    status: str
    ended: bool
    server_id: str
    end_is_known: bool = True


@dataclass(frozen=True)
class StepRunFacts:
    """What is known of a step run.

    Attributes:
        status: Its status in ZenML's words.
        finished: Whether it is over.
        successful: Whether it is over and went well.
        ended_at: When it ended; None if it did not, or nobody has told.
        over: Why its job is not needed although it is not finished, as a phrase; empty if it is.
    """

    status: str
    finished: bool
    successful: bool
    ended_at: datetime | None
    over: str = ""


class NoStepRun(Enum):
    """Why nothing is known of a step run."""

    GONE = "the server has none of that id"
    NOT_TOLD = "the server could not be asked"


@dataclass(frozen=True)
class OrphanStatus:
    """Whether a job is an orphan.

    Attributes:
        orphan: Whether it is; None where that cannot be told from here.
        reason: Why, as a phrase; empty for a job that has ended or that its step run needs.
    """

    orphan: bool | None
    reason: str


def judge(job: JobFacts, server_id: str | None, step_run: StepRunFacts | NoStepRun, now: datetime) -> OrphanStatus:
    """Whether a job is an orphan: unfinished, of this server, and its step run is finished, gone or over with its run.

    Only of this server: another one's step runs are unknown here, which says nothing of whether they are needed.

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
    if isinstance(step_run, StepRunFacts) and step_run.successful and step_run.ended_at is not None:
        return "its step has just completed" if now - step_run.ended_at < LEAVING_TIME else ""
    return ""
