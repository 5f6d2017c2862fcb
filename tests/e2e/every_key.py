"""A step operator's configuration with everything that it can have."""

from __future__ import annotations

from typing import Any

#: Every key that can be stored, under the names of the built-in flavor, with values for a cluster.
EVERY_KEY: dict[str, Any] = {
    "subscription_id": "s",
    "resource_group": "r",
    "workspace_name": "w",
    "mode": "compute-cluster",
    "compute_name": "cpu-cluster",
    "size": "Standard_DS3_v2",
    "idle_time_before_shutdown_minutes": 30,
    "idle_time_before_scaledown_down": 120,
    "location": "westeurope",
    "min_instances": 0,
    "max_instances": 2,
    "tier": "low_priority",
    "shm_size": "2g",
    "compute_target_name": "old-name",
    "tenant_id": "t",
    "service_principal_id": "i",
    "service_principal_password": "p",
}

#: The same, as ZenML's documentation spells it.
AS_DOCUMENTED: dict[str, Any] = {
    "compute_size": EVERY_KEY["size"],
    "idle_type_before_shutdown_minutes": EVERY_KEY["idle_time_before_shutdown_minutes"],
    "idle_time_before_scale_down": EVERY_KEY["idle_time_before_scaledown_down"],
    **{key: value for key, value in EVERY_KEY.items() if key != "size" and not key.startswith("idle_")},
}
