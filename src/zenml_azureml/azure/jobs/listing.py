"""Jobs of a workspace, found by a tag or by name."""

from __future__ import annotations

from collections.abc import Iterator

from azure.ai.ml.constants import ListViewType
from azure.ai.ml.entities import Job
from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import is_missing_workspace, to_azureml_error
from zenml_azureml.azure.jobs.snapshot import JobSnapshot


def list_jobs(connection: WorkspaceConnection, tag: str) -> Iterator[JobSnapshot]:
    """Yield the jobs with a tag of any value, newest first; finished and archived ones too.

    Azure ML can filter by the key of a tag, but not by its value or by status. One request per page, sent when
    the page is needed.

    Args:
        connection: The workspace.
        tag: Key of the tag.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses.
    """
    try:
        # An archived job may still run: Studio archives any job.
        found = connection.client.jobs.list(list_view_type=ListViewType.ALL, tag=tag)
        with connection.reading():
            # The SDK returns None for a job of a kind that it does not know.
            yield from (JobSnapshot.from_sdk(job) for job in found if job is not None)
    except AzureError as error:
        raise to_azureml_error("list the jobs", error, connection.address) from error


def find_job(connection: WorkspaceConnection, job_name: str) -> JobSnapshot | None:
    """Return the job of that name; None if there is none.

    Args:
        connection: The workspace.
        job_name: The job.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses.
    """
    found = find_sdk_job(connection, job_name)
    return None if found is None else found[1]


def find_sdk_job(connection: WorkspaceConnection, job_name: str) -> tuple[Job, JobSnapshot] | None:
    """Return the SDK's job of that name, and its snapshot; None if there is none.

    Args:
        connection: The workspace.
        job_name: The job.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses.
    """
    try:
        with connection.reading():
            job: Job = connection.client.jobs.get(job_name)
            return job, JobSnapshot.from_sdk(job)
    except AzureError as error:
        if isinstance(error, ResourceNotFoundError) and not is_missing_workspace(error):
            return None
        raise to_azureml_error(f"find the job `{job_name}`", error, connection.address) from error
