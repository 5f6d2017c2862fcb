"""What the tags of a job tell of an attempt that another process began, and could save nothing of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from zenml_azureml import tags
from zenml_azureml.lifecycle.cost import usd_per_hour
from zenml_azureml.lifecycle.recovery import Attempt
from zenml_azureml.settings.plan import number_of_targets, resolve, settings_of

if TYPE_CHECKING:
    from zenml_azureml.azure.compute.placement import Placement
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings


def target_from_tags(job_tags: Mapping[str, str], settings: AzureMLStepOperatorSettings, otherwise: int) -> int:
    """At which of its step's places a job is.

    Args:
        job_tags: Its tags; none where they are not known.
        settings: Of the step.
        otherwise: Where it is taken to be, if they do not tell.
    """
    told = job_tags.get(tags.TARGET, "0") if job_tags else ""
    return int(told) if told.isdecimal() and int(told) < number_of_targets(settings) else otherwise


def placement_from_tags(job_tags: Mapping[str, str], settings: AzureMLStepOperatorSettings, target: int) -> Placement:
    """Where a job is, by what its step's settings ask for at its place.

    Args:
        job_tags: Its tags.
        settings: Of the step.
        target: The place.
    """
    from zenml_azureml.azure.compute.placement import supposed

    resolution = resolve(settings_of(settings, target))
    return supposed(resolution.compute, resolution.options, usd_per_hour(job_tags))


def attempt_from_job(job: JobHandle, attempt: Attempt, settings: AzureMLStepOperatorSettings) -> Attempt:
    """An attempt with all that is known of it.

    Args:
        job: Its job.
        attempt: What the server has kept of it, or else next to nothing.
        settings: Of the step.
    """
    if attempt.place or attempt.job != job.name or not job.tags:
        return attempt
    target = target_from_tags(job.tags, settings, attempt.target)
    placement = placement_from_tags(job.tags, settings, target)
    return Attempt(
        target,
        job.name,
        place=placement.where(),
        size=placement.size,
        usd_per_hour=placement.usd_per_hour,
        studio_url=job.studio_url,
        reason=attempt.reason,
    )
