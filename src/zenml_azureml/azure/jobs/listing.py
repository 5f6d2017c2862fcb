"""Jobs of a workspace, found by a tag or by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from azure.ai.ml.constants import ListViewType
from azure.ai.ml.entities import Job
from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import explain, is_missing_workspace
from zenml_azureml.azure.jobs.distributions import processes_per_node
from zenml_azureml.azure.jobs.status import JobPhase, phase_of
from zenml_azureml.checkpoints import OUTPUT
from zenml_azureml.safe_text import safe_link, safe_name, safe_tags


@dataclass(frozen=True)
class ListedJob:
    """A job as listings report it.

    Attributes:
        name: Its name in the workspace.
        status: Its status as Azure reports it.
        tags: Its tags.
        compute: Name of its compute; empty for serverless.
        created_at: Time of its submission; None if Azure does not report it.
        studio_url: Its page in Studio; empty if Azure gave none.
        started: Time at which it started to run; None if it has not.
        ended: Time of its end; None if it has not ended, or never ran.
        processes_per_node: Number of processes on each of its nodes; None if unknown.
        checkpoints: Address of its checkpoint folder; empty if it has none.
    """

    name: str
    status: str
    tags: Mapping[str, str]
    compute: str
    created_at: datetime | None
    studio_url: str
    started: datetime | None = None
    ended: datetime | None = None
    processes_per_node: int | None = None
    checkpoints: str = ""

    @property
    def phase(self) -> JobPhase:
        """The phase that its status stands for."""
        return phase_of(self.status)


def list_jobs(connection: WorkspaceConnection, tag: str) -> Iterator[ListedJob]:
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
            yield from (listed(job) for job in found if job is not None)
    except AzureError as error:
        raise explain("listing the jobs", error, connection.address) from error


def find_job(connection: WorkspaceConnection, job_name: str) -> ListedJob | None:
    """Return the job of that name; None if there is none.

    Args:
        connection: The workspace.
        job_name: The job.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses.
    """
    try:
        with connection.reading():
            return listed(connection.client.jobs.get(job_name))
    except ResourceNotFoundError as error:
        if not is_missing_workspace(error):
            return None
        raise explain(f"looking for the job `{job_name}`", error, connection.address) from error
    except AzureError as error:
        raise explain(f"looking for the job `{job_name}`", error, connection.address) from error


def listed(job: Job) -> ListedJob:
    """Convert the SDK's job."""
    studio = (job.services or {}).get("Studio")
    output = (getattr(job, "outputs", None) or {}).get(OUTPUT)
    return ListedJob(
        name=safe_name(str(job.name)),
        # The SDK's status is an Enum whose `str` is not its value.
        status=safe_name(str(getattr(job.status, "value", job.status))),
        tags=safe_tags(job.tags),
        compute=safe_name(str(getattr(job, "compute", None) or "").rpartition("/")[2]),
        created_at=getattr(job.creation_context, "created_at", None),
        studio_url=safe_link(studio.endpoint if studio else None),
        started=_moment(job, "StartTimeUtc"),
        ended=_moment(job, "EndTimeUtc"),
        processes_per_node=processes_per_node(getattr(job, "distribution", None)),
        checkpoints=str(getattr(output, "path", None) or ""),
    )


def _moment(job: Job, name: str) -> datetime | None:
    """Return a time from a job's properties (recorded: job_get_completed.json)."""
    try:
        found = datetime.strptime((job.properties or {})[name], "%Y-%m-%d %H:%M:%S")
    except (KeyError, TypeError, ValueError):  # not set yet, or in another format
        return None
    return found.replace(tzinfo=timezone.utc)
