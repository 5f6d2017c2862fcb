"""Rebuilds an attempt from the tags of a job that another process submitted and could not save. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from zenml_azureml import tags
from zenml_azureml.lifecycle.cost import usd_per_hour
from zenml_azureml.lifecycle.recovery import Attempt

if TYPE_CHECKING:
    from zenml_azureml.azure.compute.placement import Placement
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.settings.step_plan import StepPlan


def target_from_tags(job_tags: Mapping[str, str], plan: StepPlan, otherwise: int) -> int:
    """Return the number of a job's target.

    Args:
        job_tags: Its tags; empty if unknown.
        plan: The resolved settings of the step.
        otherwise: Target to assume if the tags have none.
    """
    number = job_tags.get(tags.TARGET, "0") if job_tags else ""
    return int(number) if number.isdecimal() and int(number) < len(plan.targets) else otherwise


def placement_from_tags(job_tags: Mapping[str, str], plan: StepPlan, target: int) -> Placement:
    """Return the placement of a job, by its step's plan for its target.

    Args:
        job_tags: Its tags.
        plan: The resolved settings of the step.
        target: The target.
    """
    from zenml_azureml.azure.compute.placement import supposed

    resolution = plan.targets[target].resolution
    return supposed(resolution.compute, resolution.options, usd_per_hour(job_tags))


def attempt_from_job(job: JobHandle, attempt: Attempt, plan: StepPlan) -> Attempt:
    """Return an attempt, completed from the tags of its job.

    Args:
        job: Its job.
        attempt: The attempt as the server has stored it, possibly with nothing but a name.
        plan: The resolved settings of the step.
    """
    if attempt.place or attempt.job != job.name or not job.tags:
        return attempt
    target = target_from_tags(job.tags, plan, attempt.target)
    placement = placement_from_tags(job.tags, plan, target)
    return Attempt(
        target,
        job.name,
        place=placement.where(),
        size=placement.size,
        usd_per_hour=placement.usd_per_hour,
        studio_url=job.studio_url,
        reason=attempt.reason,
    )
