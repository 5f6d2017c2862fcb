"""Deletes the computes that held jobs and killed processes have left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from zenml_azureml import tags
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.held import may_be_held

if TYPE_CHECKING:
    from zenml_azureml.azure.compute.left import ComputeLeft
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.job_admin.server import ServerView
    from zenml_azureml.job_admin.workspaces import Place


def delete_compute_of(place: Place, job: JobSnapshot) -> bool:
    """Delete the compute that was kept for a held job, which has ended. Return False if that fails.

    The process of the run deletes that of any other job.
    """
    if not may_be_held(job) or not job.compute:
        return True
    run_id = job.tags.get(tags.RUN_ID)
    return _delete(place, lambda left: left.run_id == run_id, name=job.compute)


def delete_left_computes(places: Iterable[Place], server: ServerView, *, run_id: str = "") -> bool:
    """Delete the computes that were to be deleted after runs of this server that are over. Return False if that fails.

    Args:
        places: The workspaces.
        server: The ZenML server.
        run_id: Id of a run that has been stopped, to delete its computes only; empty for all runs.
    """

    def is_over(left: ComputeLeft) -> bool:
        if run_id:
            return left.run_id == run_id
        return left.server_id == server.id and server.is_run_over(left.run_id)

    results = [_delete(place, is_over) for place in places]
    return all(results)


def _delete(place: Place, is_due: Callable[[ComputeLeft], bool], *, name: str | None = None) -> bool:
    """Delete the computes that are due and have no unfinished job. A failure is shown, with the command."""
    try:
        left = [each for each in place.workspace.computes_left(name) if is_due(each)]
        if not left:
            return True
        jobs = [job for job in place.workspace.list_jobs(tags.STEP_RUN_ID) if not job.phase.ended]
    except AzureMLError as error:
        echo(str(error), err=True)
        return False
    all_gone = True
    for target in (each.target for each in left):
        user = next((job.name for job in jobs if job.compute == target.name), None)
        if user is not None:
            echo(f"Kept the compute `{target.name}`: the job `{user}` needs it.", err=True)
            continue
        try:
            with working("Deleting the compute"):
                place.workspace.delete_compute(target)
        except AzureMLError as error:
            all_gone = False
            echo(str(error), err=True)
    return all_gone
