"""Serverless jobs: their VM sizes and their quota."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.services.aml.catalogue import VmSize, catalogue
from zenml_azureml.emulator.services.aml.quota import Refusal


def check_size(job: Mapping[str, Any], location: str) -> None:
    """Refuse a serverless job whose VM size the region does not offer.

    Args:
        job: `properties` of its PUT.
        location: The region.

    Raises:
        ServiceError: 400.
    """
    wanted = (job.get("resources") or {}).get("instanceType")
    if not wanted:
        return
    offered = [size for size in catalogue().sizes_in(location) if not _is_spot(job) or size.low_priority_capable]
    if wanted.lower() not in {size.name.lower() for size in offered}:
        names = ",".join(size.name.upper() for size in offered)
        # Guess: that it is refused at once, and in words that are known of clusters (compute_validation.py).
        raise ServiceError(
            400,
            "UserError",
            f"The specified value {wanted} for property Properties.Resources.InstanceType is not a supported VM size. "
            f"Supported VM sizes: {names}",
        )


def refuse_quota(job: Mapping[str, Any], size: VmSize) -> Refusal | None:
    """Return the reason why the quota of a subscription can never hold a serverless job; None if it can.

    The message is quoted of a job on a cluster (MicrosoftLearning/mslearn-dp100#35). Guess: serverless compute has the
    same; and a job waits in the queue for quota that others use, which is not emulated.

    Args:
        job: Properties of the job.
        size: VM size of its nodes.
    """
    nodes = int(job["resources"]["instanceCount"])
    vcpus = nodes * size.vcpus
    family = f"{size.family.title} family"
    limits = {family: size.family.dedicated_limit, "total": catalogue().total_dedicated_cores}
    if _is_spot(job):
        limits = {"total low priority": catalogue().total_low_priority_cores}
    for name, limit in limits.items():
        if vcpus > limit:
            return Refusal(
                "JobNodeCountExceedsCoreQuota",
                "Job submission to AzureML Compute encountered an Exception with status code "
                f"JobNodeCountExceedsCoreQuota, The specified subscription has a {name} vCPU quota of {limit} and is "
                f"less than the requested job node count of {nodes} which maps to {vcpus} vCPUs. Talk to your "
                "Subscription Admin or refer to https://docs.microsoft.com/azure/machine-learning/how-to-manage-quotas"
                f"#request-quota-increases to increase the {name} vCPU quota",
            )
    return None


def _is_spot(job: Mapping[str, Any]) -> bool:
    return str((job.get("queueSettings") or {}).get("jobTier")).lower() == "spot"
