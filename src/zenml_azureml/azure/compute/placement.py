"""The placement of a job: its compute and VM size, and the requirements on them."""

from __future__ import annotations

from dataclasses import dataclass, field

from zenml_azureml.azure.compute.errors import wanted_kind
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.state import kind_in_words
from zenml_azureml.azure.sizes.sizing import QuotaCheck
from zenml_azureml.azure.sizes.vm_size import ResourceRequest
from zenml_azureml.specs.compute import ComputeCluster, ComputeSpec, ExistingCompute, Serverless
from zenml_azureml.specs.job import JobOptions


@dataclass(frozen=True)
class Placement:
    """The compute and VM size that a job runs on.

    Attributes:
        target: The compute.
        size: VM size of its nodes; empty if Azure chooses it.
        price_per_hour: US dollars per hour and node, by Azure's estimate; None if unknown.
        nodes: Number of the job's nodes.
        taken_away: Name of capacity that Azure may preempt, `spot` or `low priority`; empty for other capacity.
    """

    target: ComputeTarget
    size: str = ""
    price_per_hour: float | None = None
    nodes: int = 1
    taken_away: str = ""

    @property
    def usd_per_hour(self) -> float | None:
        """US dollars per hour of all nodes together, by Azure's estimate; None if unknown."""
        return None if self.price_per_hour is None else self.price_per_hour * self.nodes

    def where(self) -> str:
        """Describe it for a sentence: `the compute cluster `gpus` (Standard_NC4as_T4_v3, low priority)`."""
        facts = ", ".join(filter(None, (self.size, self.taken_away)))
        return f"{self._compute} ({facts})" if facts else self._compute

    def describe(self) -> str:
        """Describe it with its price: `... (Standard_DS3_v2, about 0.29 USD per hour and node, 0.58 for 2 nodes)`."""
        facts = filter(None, (self.size or self._whose_size, self.taken_away, self._price))
        return f"{self._compute} ({', '.join(facts)})"

    @property
    def _compute(self) -> str:
        if self.target.name is None:
            return "serverless compute"
        return f"the {kind_in_words(self.target.kind)} `{self.target.name}`"

    @property
    def _whose_size(self) -> str:
        if self.target.kind == "kubernetes":
            return "default instance type of the cluster"
        return "Azure chooses the size" if self.target.name is None else "size unknown"

    @property
    def _price(self) -> str:
        if self.price_per_hour is None or self.usd_per_hour is None:
            return "price unknown"
        together = f", {self.usd_per_hour:.2f} for {self.nodes} nodes" if self.nodes > 1 else ""
        return f"about {self.price_per_hour:.2f} USD per hour and node{together}"


#: Serverless compute of a size that Azure chooses.
ANYWHERE = Placement(ComputeTarget(name=None, kind="serverless"))


@dataclass(frozen=True)
class Demands:
    """Requirements of a step on the machines of its job, beyond their kind and name.

    Attributes:
        resources: The resources of one node.
        quota_check: `fail`, `warn` or `off`: the reaction to missing quota.
        size: The size for the step's capacity class, unless the settings name another; None for none.
        price_matters: True if the price is more than display: then Azure's failure to return it is an error.
    """

    resources: ResourceRequest = field(default_factory=ResourceRequest)
    quota_check: QuotaCheck = "fail"
    size: str | None = None
    price_matters: bool = False


def supposed(compute: ComputeSpec, options: JobOptions, usd_per_hour: float | None) -> Placement:
    """Return the placement of a job that another process has submitted, derived from its settings. No request.

    Args:
        compute: The requested compute.
        options: The options of the job.
        usd_per_hour: US dollars per hour of all of its nodes; None if unknown.
    """
    nodes = options.instance_count or 1
    target, size, taken_away = ANYWHERE.target, options.instance_type, spot_of(options)
    if not isinstance(compute, Serverless):
        target = ComputeTarget(compute.name, wanted_kind(compute))
        size = options.instance_type if isinstance(compute, ExistingCompute) else compute.size
    if isinstance(compute, ComputeCluster) and compute.tier == "low_priority":
        taken_away = "low priority"
    return Placement(target, size or "", None if usd_per_hour is None else usd_per_hour / nodes, nodes, taken_away)


def spot_of(options: JobOptions) -> str:
    """Return `spot` for a job on capacity that Azure may preempt; empty for another one."""
    return "spot" if options.job_tier == "spot" else ""
