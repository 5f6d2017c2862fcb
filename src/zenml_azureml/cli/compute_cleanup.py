"""Deletes the computes that were kept for held jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.held import compute_left_by, may_be_held

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.job_admin.workspaces import Place


def delete_compute_of(place: Place, job: JobSnapshot) -> None:
    """Delete the compute that was kept for a held job, which has ended. A failure is shown, with the command."""
    if not may_be_held(job):
        return
    try:
        target = compute_left_by(job)
        if target is not None:
            with working("Deleting the compute"):
                place.workspace.delete_compute(target)
    except AzureMLError as error:
        echo(str(error), err=True)
    except Exception as error:  # noqa: BLE001 - ZenML's server fails in as many ways as there are stores
        echo(f"Failed to look up the compute of the job `{job.name}` on the ZenML server: {error}", err=True)
