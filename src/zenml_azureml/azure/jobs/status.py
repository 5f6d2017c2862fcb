"""The phase that an Azure ML job's status stands for. Pure."""

from __future__ import annotations

from enum import Enum

#: The status of a job whose command has ended, while Azure tidies up after it.
FINALIZING = "Finalizing"


class JobPhase(Enum):
    """The stages of a job that matter to a process that waits for it."""

    WAITING = "waiting"
    PREPARING = "preparing"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """True if the phase is final."""
        return self in (JobPhase.COMPLETED, JobPhase.FAILED, JobPhase.CANCELED)


#: Every status of the SDK's JobStatus. Source: azure-ai-ml, constants/_job/job.py.
_PHASES = {
    "NotStarted": JobPhase.WAITING,
    "Starting": JobPhase.WAITING,
    "Queued": JobPhase.PREPARING,
    "Provisioning": JobPhase.PREPARING,
    "Preparing": JobPhase.PREPARING,
    "Running": JobPhase.RUNNING,
    FINALIZING: JobPhase.RUNNING,
    # The job still holds its compute until it is Canceled.
    "CancelRequested": JobPhase.RUNNING,
    # The node's heartbeat is missing; it may come back, and Azure ends the job if it does not.
    "NotResponding": JobPhase.RUNNING,
    "Paused": JobPhase.RUNNING,
    "Unknown": JobPhase.RUNNING,
    "Completed": JobPhase.COMPLETED,
    "Failed": JobPhase.FAILED,
    "Canceled": JobPhase.CANCELED,
}


def phase_of(status: str) -> JobPhase:
    """Return the phase of a job.

    Args:
        status: The job's status as Azure reports it.

    Returns:
        Its phase. An unknown status counts as running: if it counted as an end, a job that may still run and cost
        money would be abandoned.
    """
    return _PHASES.get(status, JobPhase.RUNNING)
