"""Validation of the setting `fallback`. Pure.

A step's targets are its own settings, and each `fallback` merged into them. A target is a number: 0 for the settings
themselves, 1 for the first fallback, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.settings.aliases import ALIASES, canonicalize, reject_unknown_keys

#: Settings that a fallback can change: the compute, and the time that the job waits for it.
TARGET_SETTINGS = frozenset(
    {
        *("mode", "compute_name", "compute_target_name", "size", "instance_type", "instance_count"),
        *("gpu_memory_gb", "gpu_class_sizes"),
        *("job_tier", "priority", "locations", "location", "tier", "min_instances", "max_instances"),
        *("idle_time_before_shutdown_minutes", "idle_time_before_scaledown_down", "start_stopped_instance"),
        *("ssh_public_key", "ssh_admin_username", "vnet_name", "subnet", "compute_identity", "schedules"),
        *("delete_compute_after", "quota_check", "queue_timeout_minutes", "timeout_minutes", "shm_size"),
    }
)


def checked_fallback(
    entry: Mapping[str, Any],
    number: int,
    known: Mapping[str, Any],
    compute_name: str | None,
    build: Callable[..., BaseModel],
) -> dict[str, Any]:
    """Return one fallback in the form that is stored: with canonical names, and values in Azure's spelling.

    Args:
        entry: The fallback as the user wrote it.
        number: Its number, from 0.
        known: All settings.
        compute_name: The `compute_name` of the step's settings.
        build: Creates settings from keywords, and raises `AzureMLSettingsError` for invalid ones.

    Raises:
        AzureMLSettingsError: For an invalid setting, or one that is not about the compute.
    """
    where = f"`fallback[{number}]`"
    elsewhere = sorted(name for name in entry if name in known and name not in {*TARGET_SETTINGS, *ALIASES})
    if elsewhere:
        raise AzureMLSettingsError(
            f"{where}: `{elsewhere[0]}` does not select compute, so it is the same for all targets. Set it beside "
            "`fallback`, not in it."
        )
    reject_unknown_keys(entry, known=[*TARGET_SETTINGS, *ALIASES], where=f" in {where}")
    # A fallback with a mode but no compute name uses the one of the step's settings.
    inherited = {"compute_name": compute_name} if compute_name and "mode" in entry else {}
    try:
        settings = build(**{**inherited, **entry})
    except AzureMLSettingsError as error:
        raise AzureMLSettingsError(f"{where}: {error}") from error
    values = settings.model_dump(mode="json")
    return {name: values[name] for name in canonicalize(entry) if name in values}
