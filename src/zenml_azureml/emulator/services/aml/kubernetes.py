"""Attached Kubernetes clusters: what the service shows of one, and the instance types of its jobs.

Names and nesting are those of Microsoft's description of the API (2024-04-01) and its example of a Kubernetes compute.
No answer of the service was recorded.
"""

from __future__ import annotations

import re

from zenml_azureml.emulator.types import Json

#: The instance type of a job that names none. Source: Microsoft's "Create and manage instance types for efficient
#: utilization of compute resources", with 0.6 CPU and 1536 MB requested; AML-Kubernetes issue 124 reports 1 GB.
DEFAULT_INSTANCE_TYPE = "defaultinstancetype"
_DEFAULT_MEMORY_GB = 1.0

#: Azure's message about a job with an unknown instance type, or with one that no node has room for.
#: Source: https://github.com/Azure-Samples/azure-ml-federated-learning/issues/334
# Guess: the code of the error around it.
INVALID_INSTANCE_TYPE = (
    'AML Kubernetes Compute job failed. 9: {"Msg":"Invalid instance type. The instance type defined resource '
    "requirement has exceeded the node size. Please ask your admin to modify the instance type resource definition or "
    'use another instance type.","Code":9}'
)

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "": 1}


def accepted(sent: Json) -> Json:
    """Return the inner properties of an attached cluster.

    Args:
        sent: The inner properties of its PUT; may be empty.
    """
    return {
        "extensionInstanceReleaseTrain": sent.get("extensionInstanceReleaseTrain"),
        "vcName": sent.get("vcName"),
        "namespace": sent.get("namespace") or "default",
        "defaultInstanceType": sent.get("defaultInstanceType") or DEFAULT_INSTANCE_TYPE,
        # Guess: without any, the service shows the default one, which its extension creates.
        "instanceTypes": sent.get("instanceTypes")
        or {
            DEFAULT_INSTANCE_TYPE: {
                "nodeSelector": None,
                "resources": {
                    "requests": {"cpu": "100m", "memory": "2Gi"},
                    "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": None},
                },
            }
        },
    }


def has_instance_type(inner: Json, name: str | None) -> bool:
    """True if jobs of a cluster can have an instance type; None stands for its default one."""
    return name is None or name in inner["instanceTypes"]


def memory_gb(inner: Json, name: str | None) -> float:
    """Return the memory that an instance type limits a job to, in GB of 2**30 bytes.

    Args:
        inner: The inner properties of the cluster.
        name: The instance type; None for the default one.
    """
    known = inner["instanceTypes"].get(name or inner["defaultInstanceType"]) or {}
    limits = (known.get("resources") or {}).get("limits") or {}
    quantity = _QUANTITY.fullmatch(str(limits.get("memory")))
    if quantity is None:
        return _DEFAULT_MEMORY_GB
    return float(quantity[1]) * _UNITS[quantity[2] or ""] / 2**30
