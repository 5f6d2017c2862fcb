"""`zenml-azureml jobs release`: ends jobs that are held open, and deletes what was kept for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from zenml_azureml.cli.compute_cleanup import delete_compute_of
from zenml_azureml.cli.progress import working
from zenml_azureml.cli.secret_cleanup import delete_secret_of
from zenml_azureml.job_admin.cancellation import Cancelled, cancel_all
from zenml_azureml.job_admin.held import held_until, may_be_held
from zenml_azureml.job_admin.inventory import find_job, job_name

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.cli.jobs_cancel import Reporter
    from zenml_azureml.job_admin.workspaces import Place


def release(names: Sequence[str], places: list[Place], timeout: timedelta, reporter: Reporter) -> bool:
    """End jobs that are held open, and delete their secrets and computes; only delete these for a job that has ended.

    The command reports nothing to ZenML's server: the step has reported its failure before.

    Args:
        names: Names of jobs, and ids of step runs.
        places: The workspaces to search.
        timeout: Time to wait for all of them to end.
        reporter: Prints the results.

    Returns:
        True if all have ended.
    """
    all_ended = True
    for name in names:
        with working("Looking for the job"):
            found = find_job(name, places)
        if found is None:
            all_ended = False
            reporter.missing(job_name(name), places)
            continue
        place, job = found
        if problem := "" if job.phase.ended else _why_not(job):
            all_ended = False
            reporter.job(Cancelled(place, job, problem))
            continue
        results = [Cancelled(place, job)] if job.phase.ended else list(cancel_all([found], timeout))
        for result in results:
            all_ended = all_ended and not result.problem
            reporter.job(result)
            if not result.problem:
                delete_secret_of(place, result.job, reporter.secret)
                all_ended = delete_compute_of(place, result.job) and all_ended
    return all_ended


def _why_not(job: JobSnapshot) -> str:
    """Return why a job cannot be released, in a sentence with the next step; empty if it can."""
    cancel = f"To cancel it: zenml-azureml jobs cancel {job.name}"
    if not may_be_held(job):
        return f"The Azure ML job `{job.name}` is not held open: `hold_on_failure_minutes` was not set. {cancel}"
    try:
        until = held_until(job)
    except Exception as error:  # noqa: BLE001 - it fails in as many ways as there are stores and networks
        return f"The ZenML server does not say whether the job `{job.name}` is held open: {error} {cancel}"
    return (
        ""
        if until is not None
        else f"The Azure ML job `{job.name}` is not held open: its hold is over, or its step is still running. {cancel}"
    )
