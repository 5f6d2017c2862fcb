"""The attempts to run a step as they are stored: in ZenML's metadata, and in the tags of their jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml_azureml import tags
from zenml_azureml.lifecycle.cost import usd_per_hour
from zenml_azureml.lifecycle.recovery import UNKNOWN, Attempt, attempt_from, cost
from zenml_azureml.run_store import step_runs

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.compute.placement import Placement
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.settings.step_plan import StepPlan

#: The attempts to run a step, the oldest first; only of a step with more than one attempt.
ATTEMPTS_KEY = "azureml_attempts"
#: Estimated US dollars per hour, of all nodes of the newest job.
USD_PER_HOUR_KEY = "azureml_usd_per_hour_all_nodes"
#: Estimated US dollars that the jobs of the step have cost together.
COST_KEY = "azureml_cost_usd"


def cost_ahead(attempt: Attempt) -> dict[str, Any]:
    """Return the price of a submitted job, as metadata of its step."""
    if attempt.usd_per_hour is None:
        return {USD_PER_HOUR_KEY: UNKNOWN, COST_KEY: UNKNOWN}
    return {USD_PER_HOUR_KEY: round(attempt.usd_per_hour, 4)}


def history_as_metadata(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return the attempts as metadata of their step; empty as long as there is only the first one."""
    if len(attempts) == 1 and attempts[0].reason is None:
        return {}
    return {ATTEMPTS_KEY: [attempt.as_metadata() for attempt in attempts]}


def save(
    step_run: StepRunResponse,
    component_id: UUID,
    attempts: Sequence[Attempt],
    more: Mapping[str, Any] | None = None,
) -> None:
    """Save the attempts to run a step, and their cost, on the server and in the step run object.

    Args:
        step_run: The step run.
        component_id: The step operator.
        attempts: The attempts.
        more: Further metadata to save.
    """
    metadata = {**(more or {}), **history_as_metadata(attempts)}
    if attempts[-1].ended is not None:
        spent = cost(attempts)
        total = UNKNOWN if spent is None else round(spent, 4)
        # The submit already saves a cost that will stay unknown: that needs no second request.
        if total != step_run.run_metadata.get(COST_KEY):
            metadata[COST_KEY] = total
    if metadata:
        step_runs.save_metadata(step_run, component_id, metadata)


def recorded(step_run: StepRunResponse) -> tuple[Attempt, ...]:
    """Return the attempts in a step run's metadata; a single one, whose job may not exist, if it has none."""
    metadata = step_run.run_metadata
    kept = metadata.get(ATTEMPTS_KEY)
    if isinstance(kept, list) and kept:
        return tuple(attempt_from(attempt) for attempt in kept)
    per_hour = metadata.get(USD_PER_HOUR_KEY)
    only = Attempt(
        target=0,
        job=step_runs.recorded_job_name(step_run),
        place=str(metadata.get(step_runs.COMPUTE_KEY) or ""),
        size=str(metadata.get(step_runs.VM_SIZE_KEY) or ""),
        usd_per_hour=float(per_hour) if isinstance(per_hour, (int, float)) else None,
        studio_url=step_runs.recorded_studio_url(step_run),
    )
    return (only,)


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


def attempt_at(target: int, job: str, placement: Placement, studio_url: str) -> Attempt:
    """Return the attempt of a job.

    Args:
        target: Number of its target.
        job: Its name.
        placement: Its placement.
        studio_url: Its page in Studio.
    """
    return Attempt(target, job, placement.where(), placement.size, placement.usd_per_hour, studio_url)


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
    return replace(attempt_at(target, job.name, placement, job.studio_url), reason=attempt.reason)
