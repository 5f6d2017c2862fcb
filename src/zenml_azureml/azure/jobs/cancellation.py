"""Cancels jobs."""

from __future__ import annotations

from datetime import timedelta

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import is_missing_workspace, to_azureml_error
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.azure.jobs.submitter import how_to_cancel
from zenml_azureml.azure.retry import is_transient, with_retries
from zenml_azureml.clock import Time
from zenml_azureml.exceptions import AzureMLError

#: Longest time for which Azure may be unreachable during a cancel.
CANCEL_PATIENCE = timedelta(minutes=1)


def cancel_job(connection: WorkspaceConnection, job_name: str, time: Time) -> bool:
    """Request the cancellation of a job without waiting for it; a job that has ended does not change.

    Args:
        connection: The connection to its workspace.
        job_name: The job.
        time: Source of time.

    Returns:
        True if there is such a job.

    Raises:
        AzureMLError: If Azure refuses or cannot be reached. The message has the command to cancel it manually.
    """
    try:
        return with_retries(
            f"cancel the job `{job_name}`", lambda: _cancel(connection, job_name), CANCEL_PATIENCE, time
        )
    except AzureError as error:
        failure = to_azureml_error(f"cancel the job `{job_name}`", error, connection.address)
        raise AzureMLError(f"{failure}\n{how_to_cancel(connection.address, job_name)}") from error


def _cancel(connection: WorkspaceConnection, job_name: str) -> bool:
    jobs = connection.one_try_client.jobs
    try:
        jobs.begin_cancel(job_name, polling=False)  # the watch of the job shows its end
    except ResourceNotFoundError as error:
        if is_missing_workspace(error):
            raise
        return False
    except HttpResponseError as error:
        if is_transient(error):
            raise
        if not JobSnapshot.from_sdk(jobs.get(job_name)).phase.ended:
            raise
    return True
