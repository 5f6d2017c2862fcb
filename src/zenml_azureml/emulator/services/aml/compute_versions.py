"""Keys of a compute in each api-version."""

from __future__ import annotations

from zenml_azureml.emulator.services.aml.compute_views import INSTANCE_DEFAULTS
from zenml_azureml.emulator.types import Json

# Recorded: 2022-10-01-preview without the keys below, 2023-08-01-preview with them (compute_ci_get_running_2026.json).
# Guess: no version between these two has them.
_NEWER = "2023-08-01"
_NEWER_KEYS = frozenset({"provisioningWarnings"})
_NEWER_INNER_KEYS = {
    "AmlCompute": frozenset({"enableBatchPrivateLink"}),
    "ComputeInstance": frozenset({"imageVersion", *INSTANCE_DEFAULTS}),
}


def is_newer(api_version: str) -> bool:
    """True if an api-version, e.g. `2024-04-01`, has the newer keys, and the newer status of a PATCH."""
    return api_version[:10] >= _NEWER


def for_version(body: Json, api_version: str) -> Json:
    """Return a compute as a client of that api-version sees it.

    Args:
        body: The compute, with all keys.
        api_version: As in the request's query, e.g. `2024-04-01`.
    """
    inner = body["properties"]["properties"]
    if "imageSku" in inner and not (is_newer(api_version) and api_version.endswith("-preview")):
        # Recorded: in compute_ci_get_running_2026.json (2023-08-01-preview), not in compute_list_2024.json.
        inner = {key: value for key, value in inner.items() if key != "imageSku"}
        body = {**body, "properties": {**body["properties"], "properties": inner}}
    if is_newer(api_version):
        return body
    hidden = _NEWER_INNER_KEYS.get(body["properties"]["computeType"], frozenset())
    shown = {key: value for key, value in body["properties"].items() if key not in _NEWER_KEYS}
    inner = {key: value for key, value in shown["properties"].items() if key not in hidden}
    if inner.get("sshSettings"):  # Recorded: the key came back later (compute_ci_get_running.json, of 2022)
        inner["sshSettings"] = {**inner["sshSettings"], "adminPublicKey": None}
    if inner.get("osImageMetadata"):
        image = inner["osImageMetadata"]
        inner["osImageMetadata"] = {key: value for key, value in image.items() if key != "osPatchingStatus"}
    shown["properties"] = inner
    return {**body, "properties": shown}
