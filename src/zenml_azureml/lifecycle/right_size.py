"""What the use of a job says about its VM size: the last line of a step, and the next steps after it ran out of memory.

Nothing here fails a step, or waits: without the sizes and the quota of the region, the use is shown without advice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zenml.logger import get_logger

from zenml_azureml.azure.sizes.advice import Ran, amount, cheaper_size, in_words, larger_size
from zenml_azureml.azure.sizes.quota import Quota
from zenml_azureml.azure.sizes.vm_size import ComputeKind, VmSize
from zenml_azureml.contract.usage import GPU_MEMORY, MEMORY, Usage, merged
from zenml_azureml.lifecycle.cost import in_usd
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec, Serverless

if TYPE_CHECKING:
    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.lifecycle.recovery import Attempt
    from zenml_azureml.settings.plan import Resolution

logger = get_logger(__name__)

#: The causes of failures that more memory solves, and whether it is that of a GPU.
OUT_OF_MEMORY = {"out-of-memory": False, "gpu-out-of-memory": True}

#: What a run saves is named from so many US dollars; below that, what an hour saves.
_CENT = 0.01

#: What a step ran on, and the sizes and the quota of its region.
Known = tuple[Ran, Sequence[VmSize], Quota]


@dataclass(frozen=True)
class Machine:
    """What a job ran on, as it was requested.

    Attributes:
        workspace: The workspace of the job.
        size: VM size of its nodes; empty if unknown.
        kind: Kind of compute; None for an existing one of any kind.
        nodes: Number of nodes.
        low_priority: True for low-priority or spot nodes.
        location: Its region; None for that of the workspace.
    """

    workspace: Workspace
    size: str
    kind: ComputeKind | None = "serverless"
    nodes: int = 1
    low_priority: bool = False
    location: str | None = None

    @classmethod
    def of(cls, workspace: Workspace, resolution: Resolution, attempt: Attempt) -> Machine:
        """Return what the job of an attempt ran on.

        Args:
            workspace: The workspace of the job.
            resolution: The compute and job that were requested.
            attempt: The attempt.
        """
        options = resolution.options
        cluster = resolution.compute if isinstance(resolution.compute, ComputeCluster) else None
        return cls(
            workspace,
            attempt.size,
            _kind_of(resolution.compute),
            options.instance_count or 1,
            low_priority=options.job_tier == "spot" or (cluster is not None and cluster.tier == "low_priority"),
            location=cluster.location if cluster else next(iter(options.locations), None),
        )

    def look_up(self) -> Known | None:
        """Return it with the sizes and the quota of its region; None if one of them is unknown. Never raises."""
        if self.kind is None or not self.size:
            return None
        try:
            offer = self.workspace.offer(self.location)
        except Exception as error:  # noqa: BLE001 - advice is worth no failure
            logger.debug("Sizes and quota are not known: %s", error)
            return None
        sizes = [size for size in (offer[0] if offer else ()) if size.name.lower() == self.size.lower()]
        return (Ran(sizes[0], self.kind, self.nodes, self.low_priority), *offer) if offer and sizes else None


def last_line(usage: Usage, known: Known | None, hours: float | None) -> str:
    """Return what the use of a job means, as a phrase.

    Args:
        usage: What each node has used.
        known: What it ran on, and what else there is; None if unknown.
        hours: Time for which the job ran; None if unknown.
    """
    facts = in_words(usage)
    if known is None:
        return facts
    advice = cheaper_size(usage, *known)
    if advice is None:
        return f"{facts}: no cheaper VM size with quota would do"
    per_hour = advice.saves_per_hour * known[0].nodes
    if hours is None or per_hour * hours < _CENT:
        saves = f"{in_usd(per_hour)} USD less per hour"
    else:
        saves = f"{in_usd(per_hour * hours)} USD less for this run"
    gpu = ", without the GPU that was not used" if advice.without_gpu else ""
    return f"{facts}: {advice.size.name} would do{gpu}, about {saves}"


def advice_on_memory(cause: str, usages: Sequence[Usage], known: Known | None) -> str:
    """Return the peak of a job that ran out of memory, and the next size up, as sentences; empty for other causes.

    Args:
        cause: Name of the cause of its failure.
        usages: What its nodes have used; none if that is unknown.
        known: What it ran on, and what else there is; None if unknown.
    """
    if cause not in OUT_OF_MEMORY:
        return ""
    of_gpu, usage = OUT_OF_MEMORY[cause], merged(usages)
    metric = usage.metrics.get(GPU_MEMORY if of_gpu else MEMORY) if usage else None
    parts = []
    if metric is not None:
        limit = f" of {amount(metric.limit)}" if metric.limit else ""
        parts.append(f"The highest sample of its {'GPU ' if of_gpu else ''}memory was {amount(metric.peak)}{limit} GB.")
    if known is not None:
        ran, larger = known[0], larger_size(*known, usage=usage, of_gpu=of_gpu)
        if larger is None:
            parts.append(f"No size with more {'GPU ' if of_gpu else ''}memory than {ran.size.name} has quota left.")
        else:
            price = larger.price(low_priority=ran.low_priority)
            cost = f", about {in_usd(price)} USD per hour and node" if price is not None else ""
            parts.append(f"The next size up from {ran.size.name} that has quota is {larger.describe()}{cost}.")
    return " ".join(parts)


def _kind_of(compute: ComputeSpec) -> ComputeKind | None:
    """Return the kind of a requested compute; None for an existing one of any kind."""
    if isinstance(compute, Serverless):
        return "serverless"
    if isinstance(compute, ComputeInstance):
        return "compute-instance"
    return "compute-cluster" if isinstance(compute, ComputeCluster) else None
