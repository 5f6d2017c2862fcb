"""Jobs that are held open after their failure: which jobs are."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING
from uuid import UUID

from zenml_azureml import tags
from zenml_azureml.lifecycle.holding import hold_of
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot


def may_be_held(job: JobSnapshot) -> bool:
    """True if a job is held open in case that its step fails."""
    return tags.HOLD in job.tags


def held_until(job: JobSnapshot) -> datetime | None:
    """Return the end of the hold of a job; None if it is not held (any more).

    Raises:
        KeyError: If the server does not know its step run.
    """
    if job.phase.ended or not may_be_held(job):
        return None
    return hold_of(step_runs.with_metadata(_step_run_of(job)), datetime.now(timezone.utc))


def _step_run_of(job: JobSnapshot) -> UUID:
    try:
        return UUID(job.tags.get(tags.STEP_RUN_ID, ""))
    except ValueError:
        raise KeyError(job.name) from None
