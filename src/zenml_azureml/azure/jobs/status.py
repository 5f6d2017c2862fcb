"""What an Azure ML job's status means. Pure."""

from __future__ import annotations

from enum import Enum

#: The status of a job whose command has ended, while Azure tidies up after it.
FINALIZING = "Finalizing"


class JobPhase(Enum):
    """The stages of a job that matter to whoever waits for it."""

    WAITING = "waiting"
    PREPARING = "preparing"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
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
    """The phase of a job.

    Args:
        status: The job's status in Azure's words.

    Returns:
        Its phase. A status that this package does not know counts as running: taking it for an end would
        give up a job that may go on and cost money.
    """
    return _PHASES.get(status, JobPhase.RUNNING)
