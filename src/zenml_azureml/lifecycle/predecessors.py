"""Decisions about the jobs of earlier step runs of a step: when to cancel one, and whether one may appear. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from zenml_azureml.azure.jobs.status import FINALIZING, JobPhase, phase_of
from zenml_azureml.lifecycle.canceller import CANCEL_AGAIN, FINISHING

#: Time for which a job may appear after the process that submitted it was killed.
# Guess: Azure Resource Manager gives up a request after 60 s.
IN_FLIGHT = timedelta(seconds=60)


@dataclass(frozen=True)
class Predecessor:
    """An earlier step run of a step, in the same run.

    Attributes:
        id: Its id.
        jobs: Number of its jobs that ZenML's server has recorded.
        reported: True if its end was reported, by its own code or by the operator.
        reported_by_code: True if its own code reported it.
        is_held: True if its job is held open after that report, and so counts as ended.
    """

    id: UUID
    jobs: int
    reported: bool
    reported_by_code: bool
    is_held: bool = False


def may_appear(predecessor: Predecessor, status: str | None, *, cancelled: bool) -> bool:
    """True if a further job of an earlier step run may still be on its way to Azure ML.

    Its process may have been killed during the request, in which case no listing has the job yet. The jobs of one
    step run follow each other: the operator submits no further job as long as one has not ended.

    Args:
        predecessor: The earlier step run.
        status: Azure's status of its newest job; None if it has no job.
        cancelled: True if its newest job had not ended when it was found, and has been cancelled since.
    """
    if cancelled or predecessor.reported_by_code:
        return False
    if status is None:
        return True
    return not predecessor.reported and phase_of(status) is not JobPhase.COMPLETED


def is_cancelled_now(predecessor: Predecessor, status: str, waited: timedelta, asked: timedelta | None) -> bool:
    """True if the cancel of an unfinished job is due.

    Args:
        predecessor: The earlier step run that it belongs to.
        status: Azure's status of the job.
        waited: Time since it was found.
        asked: Time since its cancel was last requested; None if it was not.
    """
    if status == FINALIZING:
        return False  # its command has ended, so there is nothing left to cancel
    if asked is not None:
        return asked >= CANCEL_AGAIN
    return waited >= FINISHING if predecessor.reported else True


def superseded_for(started: datetime | None, next_started: datetime | None) -> timedelta:
    """Return the time for which an earlier step run has been superseded when the new one starts; zero if unknown.

    Args:
        started: Start of the new step run.
        next_started: Start of the step run that followed the earlier one.
    """
    if started is None or next_started is None:
        return timedelta()
    return max(started - next_started, timedelta())
