"""Decisions about the jobs of earlier step runs of a step: when to cancel one, and whether one may appear. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from zenml_azureml.azure.jobs.status import FINALIZING, JobPhase, phase_of
from zenml_azureml.lifecycle.canceller import CANCEL_AGAIN, FINISHING

if TYPE_CHECKING:
    from zenml_azureml.azure.client import Workspace

#: Time for which a job may appear after the process that submitted it was killed.
# Guess: Azure Resource Manager gives up a request after 60 s.
IN_FLIGHT = timedelta(seconds=60)


@dataclass
class Predecessor:
    """An earlier step run of a step, in the same run, and what a search has found of its jobs in one workspace.

    Attributes:
        id: Its id.
        workspace: The workspace.
        recorded_jobs: Number of its jobs that ZenML's server has recorded.
        until: Time after which no further job can appear.
        reported: True if its end was reported, by its own code or by the operator.
        reported_by_code: True if its own code reported it.
        is_held: True if its job is held open after that report, and so counts as ended.
        secret: Address of its recorded secret in a key vault; empty for none.
        number: Number of the next job to search for.
        status: Azure's status of its newest job; None as long as none was found.
        was_cancelled: True if its newest job had not ended when it was found, and has been cancelled since.
        found_at: Time when its unfinished job was found.
        asked_at: Time when the cancel of that job was last requested; None if it was not.
        missing: Number of looks in a row at which Azure ML did not have that job.
    """

    id: UUID
    workspace: Workspace
    recorded_jobs: int
    until: float
    reported: bool = False
    reported_by_code: bool = False
    is_held: bool = False
    secret: str = ""
    number: int = 1
    status: str | None = None
    was_cancelled: bool = False
    found_at: float = 0.0
    asked_at: float | None = None
    missing: int = 0

    @property
    def may_have_another(self) -> bool:
        """True if a further job may still be on its way to Azure ML.

        Its process may have been killed during the request, in which case no listing has the job yet. The jobs of one
        step run follow each other: the operator submits no further job as long as one has not ended.
        """
        if self.was_cancelled or self.reported_by_code:
            return False
        if self.status is None:
            return True
        return not self.reported and phase_of(self.status) is not JobPhase.COMPLETED

    def is_cancel_due(self, now: float) -> bool:
        """True if the cancel of its unfinished job is due.

        Args:
            now: The time.
        """
        if self.status == FINALIZING:
            return False  # its command has ended, so there is nothing left to cancel
        if self.asked_at is not None:
            return now - self.asked_at >= CANCEL_AGAIN.total_seconds()
        return not self.reported or now - self.found_at >= FINISHING.total_seconds()


def superseded_for(started: datetime | None, next_started: datetime | None) -> timedelta:
    """Return the time for which an earlier step run has been superseded when the new one starts; zero if unknown.

    Args:
        started: Start of the new step run.
        next_started: Start of the step run that followed the earlier one.
    """
    if started is None or next_started is None:
        return timedelta()
    return max(started - next_started, timedelta())
