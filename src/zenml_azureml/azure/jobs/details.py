"""Everything that Azure ML reports about one job."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from azure.core.exceptions import AzureError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import error_message
from zenml_azureml.azure.jobs.listing import find_sdk_job
from zenml_azureml.azure.jobs.run_history import RunDetails, fetch_run_details
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.azure.logs.streamer import LogFollower
from zenml_azureml.azure.logs.tail import LogEnd
from zenml_azureml.safe_text import safe_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobDetails:
    """A job with all that Azure ML reports about it.

    Attributes:
        job: The part that listings report too.
        display_name: Its name as Studio shows it.
        experiment: Its experiment.
        environment: Its environment, e.g. `zenml-train-3f6c9d5a0b12:1`.
        size: VM size of serverless compute; empty on a named compute.
        nodes: Number of its nodes.
        details: Its run history; None if that cannot be read.
        log_end: The end of its log, if it has ended.
    """

    job: JobSnapshot
    display_name: str
    experiment: str
    environment: str
    size: str
    nodes: int
    details: RunDetails | None
    log_end: LogEnd


def describe_job(connection: WorkspaceConnection, job_name: str) -> JobDetails | None:
    """Return the job of that name; None if there is none.

    Args:
        connection: The workspace.
        job_name: The job.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses.
    """
    found = find_sdk_job(connection, job_name)
    if found is None:
        return None
    job, facts = found
    details, log_end = _history(connection, facts)
    resources = getattr(job, "resources", None)
    environment = str(getattr(job, "environment", None) or "")
    return JobDetails(
        job=facts,
        display_name=safe_name(str(job.display_name or "")),
        experiment=safe_name(str(getattr(job, "experiment_name", None) or "")),
        environment=safe_name(_short_environment(environment)),
        size=safe_name(str(getattr(resources, "instance_type", None) or "")),
        nodes=int(getattr(resources, "instance_count", None) or 1),
        details=details,
        log_end=log_end,
    )


def _history(connection: WorkspaceConnection, job: JobSnapshot) -> tuple[RunDetails | None, LogEnd]:
    try:
        if not job.phase.ended:
            return fetch_run_details(connection, job.name), LogEnd()
        follower = LogFollower(connection, job.name, processes_per_node=job.processes_per_node)
        details = follower.read_end()
    except AzureError as error:
        logger.warning("No run history for job `%s`: %s", job.name, error_message(error))
        return None, LogEnd()
    return details, follower.end


def _short_environment(environment: str) -> str:
    """Return `NAME:VERSION` of an ARM id or a reference."""
    if "/environments/" not in environment:
        return environment.removeprefix("azureml:")
    name, _, version = environment.rpartition("/environments/")[2].partition("/versions/")
    return f"{name}:{version}" if version else name
