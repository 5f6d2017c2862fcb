"""The settings that apply to each mode of compute."""

from __future__ import annotations

from zenml_azureml.settings.compute import AzureMLComputeMode

SERVERLESS_ONLY = frozenset({"instance_type", "job_tier", "priority", "locations"})


INSTANCE_ONLY = frozenset({"idle_time_before_shutdown_minutes", "schedules", "start_stopped_instance"})


CLUSTER_ONLY = frozenset(
    {
        *("idle_time_before_scaledown_down", "location", "min_instances", "max_instances", "tier"),
        "ssh_admin_username",
    }
)


#: Settings that describe a compute of the user's own, of either kind.
_COMPUTE = frozenset(
    {
        *("compute_name", "size", "compute_target_name", "ssh_public_key", "vnet_name", "subnet"),
        *("compute_identity", "delete_compute_after"),
    }
)


_OF_ITS_OWN = _COMPUTE | INSTANCE_ONLY | CLUSTER_ONLY


#: Settings that do not apply to a mode.
IGNORED_BY_MODE: dict[AzureMLComputeMode, frozenset[str]] = {
    AzureMLComputeMode.SERVERLESS: _OF_ITS_OWN,
    AzureMLComputeMode.COMPUTE_INSTANCE: SERVERLESS_ONLY | CLUSTER_ONLY | {"instance_count", "compute_target_name"},
    AzureMLComputeMode.COMPUTE_CLUSTER: SERVERLESS_ONLY | INSTANCE_ONLY | {"compute_target_name"},
}


#: Settings that do not apply if `compute_target_name` names an existing compute. Whether `instance_type` does depends
#: on its kind: an attached Kubernetes cluster has instance types of its own.
IGNORED_BY_TARGET_NAME = (SERVERLESS_ONLY | _OF_ITS_OWN) - {
    *("compute_target_name", "start_stopped_instance", "instance_type"),
}

#: Values of `job_tier` that serverless compute has. Source: Microsoft's "Model training on serverless compute":
#: https://learn.microsoft.com/azure/machine-learning/how-to-use-serverless-compute
SERVERLESS_TIERS = frozenset({"standard", "spot"})
