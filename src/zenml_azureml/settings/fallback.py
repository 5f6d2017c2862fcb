"""The places that a step's job may run at, one after the other: its settings, and each `fallback` on top. Pure.

A target is a number: 0 for the settings themselves, 1 for the first fallback, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.settings.aliases import ALIASES, canonicalize, reject_unknown_keys

#: What a fallback can change: where the job runs, and how long it waits there.
TARGET_SETTINGS = frozenset(
    {
        *("mode", "compute_name", "compute_target_name", "size", "instance_type", "instance_count"),
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
    """One fallback as it is kept: under the names that settings are kept under, its values as Azure takes them.

    Args:
        entry: What was written.
        number: Which one it is, from 0.
        known: All settings that there are.
        compute_name: Of the settings themselves.
        build: Makes settings of keywords, and raises `AzureMLSettingsError` for what they cannot be.

    Raises:
        AzureMLSettingsError: For what it cannot be, or what says nothing of where a job runs.
    """
    where = f"`fallback[{number}]`"
    elsewhere = sorted(name for name in entry if name in known and name not in {*TARGET_SETTINGS, *ALIASES})
    if elsewhere:
        raise AzureMLSettingsError(
            f"{where}: `{elsewhere[0]}` says nothing of where the job runs, so it is the same at every place. Set it "
            "beside `fallback`, not in it."
        )
    reject_unknown_keys(entry, known=[*TARGET_SETTINGS, *ALIASES], where=f" in {where}")
    # A fallback that sets the mode alone means the compute that the settings name.
    inherited = {"compute_name": compute_name} if compute_name and "mode" in entry else {}
    try:
        settings = build(**{**inherited, **entry})
    except AzureMLSettingsError as error:
        raise AzureMLSettingsError(f"{where}: {error}") from error
    values = settings.model_dump(mode="json")
    return {name: values[name] for name in canonicalize(entry) if name in values}
