"""Check that the subscription has quota left for a node."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.azure.sizes.quota import FamilyQuota, Quota, check_quota, how_to_get_more
from zenml_azureml.azure.sizes.vm_size import VmSize
from zenml_azureml.doctor.checks.compute import ConfiguredCompute
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, unknown, warning

CHECK = "quota"


@dataclass(frozen=True)
class QuotaFacts:
    """Quota, and the compute that needs it.

    Attributes:
        quota: The quota of the workspace's region.
        sizes: The VM sizes there.
        configured: The compute that all steps use by default.
        exists: True if that compute exists, so that it needs no further quota.
    """

    quota: Quota
    sizes: tuple[VmSize, ...]
    configured: ConfiguredCompute
    exists: bool


def check_quota_left(facts: QuotaFacts | Problem) -> Finding:
    """Check that there is enough quota left."""
    if isinstance(facts, Problem):
        return unknown(CHECK, facts)
    quota, configured = facts.quota, facts.configured
    more = f"{how_to_get_more(quota.page)}."
    size = next((one for one in facts.sizes if one.name.lower() == configured.size.lower()), None)
    if configured.size and size is None and not facts.exists:
        return failed(
            CHECK,
            f"Azure ML offers no VM size `{configured.size}` in `{quota.region}`, "
            "which the step operator's `size` names.",
            "To list the sizes: `zenml-azureml sizes`.",
        )
    if size is not None and not facts.exists:
        shortage = check_quota(size, quota, configured.nodes, configured.low_priority)
        if shortage is not None:
            return failed(CHECK, shortage.explain(), f"{more[:-1]}; or choose another size: `zenml-azureml sizes`.")
    totals = [row for row in quota.rows if row.is_total]
    dedicated = next((row for row in totals if not row.low_priority), None)
    if dedicated is not None and dedicated.limit == 0:
        return failed(CHECK, f"The subscription has no quota for dedicated nodes in `{quota.region}`.", more)
    if dedicated is not None and dedicated.limit is not None and dedicated.used >= dedicated.limit:
        return warning(
            CHECK,
            f"All {dedicated.limit} dedicated vCPUs of `{quota.region}` are in use: jobs that need new nodes wait.",
            more,
        )
    used = ", ".join(_in_words(row) for row in totals) or "no limit for the whole region"
    families = sum(1 for row in quota.rows if not row.is_total and not row.low_priority and row.limit)
    return ok(CHECK, f"In use in {quota.region}: {used}; quota for {families} VM families (`zenml-azureml sizes`)")


def _in_words(row: FamilyQuota) -> str:
    kind = "low-priority" if row.low_priority else "dedicated"
    return f"{row.used} of {'any number of' if row.limit is None else row.limit} {kind} vCPUs"
