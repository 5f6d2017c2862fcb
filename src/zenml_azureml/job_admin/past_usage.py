"""What the last runs of a step have used, from ZenML's server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from zenml.client import Client

from zenml_azureml.azure.sizes.advice import Advice, Ran, cheaper_size, larger_size
from zenml_azureml.azure.sizes.quota import Quota
from zenml_azureml.azure.sizes.vm_size import ComputeKind, VmSize
from zenml_azureml.contract.usage import AT_LIMIT, MEMORY, Usage, merged, usages_in
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store.step_runs import COMPUTE_KEY, VM_SIZE_KEY

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

#: Number of step runs that are searched for ones that were sampled.
_SEARCHED = 50

#: Largest number of runs that advice is based on.
MOST_RUNS = 10


@dataclass(frozen=True)
class PastUsage:
    """What one run of a step has used.

    Attributes:
        run: Name of the pipeline run.
        step: Name of the step.
        created: Time of its creation.
        status: Status of the step run.
        size: VM size of its job; empty if Azure chose it.
        compute: Name of its compute, or its kind.
        usage: What each node has used.
    """

    run: str
    step: str
    created: datetime
    status: str
    size: str
    compute: str
    usage: Usage


@dataclass(frozen=True)
class StepAdvice:
    """Advice on the size of a step.

    Attributes:
        size: The size that it ran on last.
        usage: What all runs on it have used, with the highest peaks.
        runs: Number of these runs.
        cheaper: A cheaper size that would do; None if there is none.
        larger: A larger size, if the memory was used up; None otherwise.
    """

    size: VmSize
    usage: Usage
    runs: int
    cheaper: Advice | None
    larger: VmSize | None


def past_usages(step: str) -> list[PastUsage]:
    """Return what the last runs of a step have used, the newest first.

    Args:
        step: Name of the step, or `PIPELINE.STEP`.

    Raises:
        AzureMLError: If no run of such a step has reported its use.
    """
    pipeline, _, name = step.rpartition(".")
    found = _step_runs(pipeline, name) if pipeline else []
    found = found or _step_runs("", step)
    sampled = [past for one in found if (past := _past(one)) is not None][:MOST_RUNS]
    if not sampled:
        raise AzureMLError(
            f"No run of a step `{step}` has reported its resource use."
            if found
            else f"ZenML's server has no run of a step `{step}` in the active project.",
            hint="Run the pipeline once with this version of zenml-azureml, without `sampling=False`. A step can be "
            "named as STEP or as PIPELINE.STEP.",
        )
    return sampled


def advice_of(
    past: Sequence[PastUsage], sizes: Sequence[VmSize], quota: Quota, *, kind: ComputeKind | None, low_priority: bool
) -> StepAdvice | None:
    """Return advice from the runs on the size that a step ran on last: pure.

    Args:
        past: Its runs, the newest first; at least one.
        sizes: The sizes that the region offers.
        quota: The subscription's quota there.
        kind: Kind of compute that it is for; None for the one that it ran on.
        low_priority: True for low-priority nodes.

    Returns:
        The advice; None if the size is unknown.
    """
    name = past[0].size
    size = next((size for size in sizes if size.name.lower() == name.lower()), None)
    same = [one.usage for one in past if one.size.lower() == name.lower()]
    usage = merged(same)
    if size is None or usage is None:
        return None
    # Guess: a compute with a name is a cluster; of sizes, instances and clusters have nearly the same.
    on = kind or ("serverless" if past[0].compute in ("", "serverless") else "compute-cluster")
    ran = Ran(size, on, usage.nodes, low_priority)
    memory = usage.metrics.get(MEMORY)
    is_full = memory is not None and memory.limit is not None and memory.peak >= AT_LIMIT * memory.limit
    return StepAdvice(
        size,
        usage,
        len(same),
        cheaper_size(usage, ran, sizes, quota),
        larger_size(ran, sizes, quota, usage=usage) if is_full else None,
    )


def _step_runs(pipeline: str, name: str) -> list[StepRunResponse]:
    page = Client().list_run_steps(
        name=f"equals:{name}",  # a name may look like a filter: `contains:...`
        sort_by="desc:created",
        size=_SEARCHED,
        hydrate=True,
    )
    if not pipeline:
        return list(page.items)
    runs = {one.pipeline_run_id: None for one in page.items}
    named = {run_id: Client().get_pipeline_run(run_id, hydrate=True) for run_id in runs}
    return [
        one for one in page.items if (of := named[one.pipeline_run_id].pipeline) is not None and of.name == pipeline
    ]


def _past(step_run: StepRunResponse) -> PastUsage | None:
    metadata = step_run.run_metadata
    usage = merged(usages_in(metadata))
    if usage is None:
        return None
    return PastUsage(
        run=str(step_run.pipeline_run_id),
        step=step_run.name,
        created=step_run.created,
        status=step_run.status.value,
        size=str(metadata.get(VM_SIZE_KEY) or ""),
        compute=str(metadata.get(COMPUTE_KEY) or ""),
        usage=usage,
    )
