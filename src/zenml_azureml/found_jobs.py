"""What the tags of a job tell of an attempt that another process began, and could save nothing of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from zenml_azureml import tags
from zenml_azureml.jobs.costs import usd_per_hour
from zenml_azureml.moves import Attempt
from zenml_azureml.resolution import resolve
from zenml_azureml.targets import number_of_targets, settings_of

if TYPE_CHECKING:
    from zenml_azureml.settings import AzureMLStepOperatorSettings
    from zenml_azureml.workspace.placement import Placement
    from zenml_azureml.workspace.watched_job import WatchedJob


def target_told(job_tags: Mapping[str, str], settings: AzureMLStepOperatorSettings, otherwise: int) -> int:
    """At which of its step's places a job is.

    Args:
        job_tags: Its tags; none where they are not known.
        settings: Of the step.
        otherwise: Where it is taken to be, if they do not tell.
    """
    told = job_tags.get(tags.TARGET, "0") if job_tags else ""
    return int(told) if told.isdecimal() and int(told) < number_of_targets(settings) else otherwise


def placement_told(job_tags: Mapping[str, str], settings: AzureMLStepOperatorSettings, target: int) -> Placement:
    """Where a job is, by what its step's settings ask for at its place.

    Args:
        job_tags: Its tags.
        settings: Of the step.
        target: The place.
    """
    from zenml_azureml.workspace.placement import supposed

    resolution = resolve(settings_of(settings, target))
    return supposed(resolution.compute, resolution.options, usd_per_hour(job_tags))


def attempt_told(job: WatchedJob, attempt: Attempt, settings: AzureMLStepOperatorSettings) -> Attempt:
    """An attempt with all that is known of it.

    Args:
        job: Its job.
        attempt: What the server has kept of it, or else next to nothing.
        settings: Of the step.
    """
    if attempt.place or attempt.job != job.name or not job.tags:
        return attempt
    target = target_told(job.tags, settings, attempt.target)
    placement = placement_told(job.tags, settings, target)
    return Attempt(
        target,
        job.name,
        place=placement.where(),
        size=placement.size,
        usd_per_hour=placement.usd_per_hour,
        studio_url=job.studio_url,
        reason=attempt.reason,
    )
