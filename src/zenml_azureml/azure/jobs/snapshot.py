"""A job at one moment, from either of the two shapes in which Azure ML's answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from azure.ai.ml.entities import Job

from zenml_azureml.azure.jobs.distributions import processes_per_node
from zenml_azureml.azure.jobs.status import JobPhase, phase_of
from zenml_azureml.checkpoints import OUTPUT
from zenml_azureml.safe_text import safe_link, safe_name, safe_tags


@dataclass(frozen=True)
class JobSnapshot:
    """A job at one moment.

    Attributes:
        name: Its name in the workspace.
        status: Its status as Azure reports it.
        tags: Its tags.
        compute: Name of its compute; empty for serverless.
        studio_url: Its page in Studio; empty if Azure gave none.
        created_at: Time of its submission; None if unknown.
        started: Time at which it started to run; None if it has not, or if unknown.
        ended: Time of its end; None if it has not ended, never ran, or if unknown.
        processes_per_node: Number of processes on each of its nodes; None if unknown.
        checkpoints: Address of its checkpoint folder; empty if it has none, or if unknown.
        timeout: Longest time that Azure lets it run; None if it has no such limit, or if unknown.
    """

    name: str
    status: str
    tags: Mapping[str, str] = field(default_factory=dict)
    compute: str = ""
    studio_url: str = ""
    created_at: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    processes_per_node: int | None = None
    checkpoints: str = ""
    timeout: timedelta | None = None

    @property
    def phase(self) -> JobPhase:
        """The phase that its status stands for."""
        return phase_of(self.status)

    @classmethod
    def from_sdk(cls, job: Job) -> JobSnapshot:
        """Convert the SDK's job."""
        output = (getattr(job, "outputs", None) or {}).get(OUTPUT)
        return cls(
            name=safe_name(str(job.name)),
            status=status_of_sdk(job),
            tags=safe_tags(job.tags),
            compute=_name_of(getattr(job, "compute", None)),
            studio_url=studio_url_of_sdk(job),
            created_at=getattr(job.creation_context, "created_at", None),
            started=_moment(job, "StartTimeUtc"),
            ended=_moment(job, "EndTimeUtc"),
            processes_per_node=processes_per_node(getattr(job, "distribution", None)),
            checkpoints=str(getattr(output, "path", None) or ""),
            timeout=_timeout(job),
        )

    @classmethod
    def from_rest(cls, body: Mapping[str, Any]) -> JobSnapshot:
        """Read the fields that a poll needs from Resource Manager's JSON; there may be a thousand jobs each second."""
        properties = body["properties"]
        studio = (properties.get("services") or {}).get("Studio") or {}
        return cls(
            name=str(body["name"]),
            status=safe_name(str(properties["status"])),
            tags=safe_tags(properties.get("tags")),
            compute=_name_of(properties.get("computeId")),
            studio_url=safe_link(studio.get("endpoint")),
        )


def status_of_sdk(job: Job) -> str:
    """Return the status of the SDK's job, which is an Enum whose `str` is not its value."""
    return safe_name(str(getattr(job.status, "value", job.status)))


def studio_url_of_sdk(job: Job) -> str:
    """Return the page in Studio of the SDK's job; empty if Azure gave none."""
    studio = (job.services or {}).get("Studio")
    return safe_link(studio.endpoint if studio else None)


def _name_of(compute: object) -> str:
    return safe_name(str(compute or "").rpartition("/")[2])


def _timeout(job: Job) -> timedelta | None:
    seconds = getattr(getattr(job, "limits", None), "timeout", None)
    return timedelta(seconds=seconds) if isinstance(seconds, (int, float)) else None


def _moment(job: Job, name: str) -> datetime | None:
    """Return a time from a job's properties (recorded: job_get_completed.json)."""
    try:
        found = datetime.strptime((job.properties or {})[name], "%Y-%m-%d %H:%M:%S")
    except (KeyError, TypeError, ValueError):  # not set yet, or in another format
        return None
    return found.replace(tzinfo=timezone.utc)
