"""Environments that Microsoft curates: they are in every workspace. The two here are those that were recorded."""

from __future__ import annotations

from datetime import datetime, timezone

from zenml_azureml.emulator.resources import AssetContainer, AssetVersion

_PYTORCH, _PYTORCH_MADE = (
    "AzureML-ACPT-pytorch-1.13-py38-cuda11.7-gpu",
    datetime(2023, 1, 24, 4, 0, 54, tzinfo=timezone.utc),
)
_SKLEARN, _SKLEARN_MADE = (
    "AzureML-sklearn-1.0-ubuntu20.04-py38-cpu",
    datetime(2021, 12, 15, 0, 51, 33, tzinfo=timezone.utc),
)

#: The one at the end of the recorded list (environments_list_2026.json).
LISTED = (
    AssetContainer(
        _PYTORCH,
        _PYTORCH_MADE,
        {"10": AssetVersion(_PYTORCH, "10", {"isAnonymous": False}, _PYTORCH_MADE, _PYTORCH_MADE)},
    ),
)

# Recorded: environment_version_get_curated.json. It is built from a Dockerfile, and so shows no image.
_SKLEARN_PROPERTIES = {
    "description": "An environment for tasks such as regression, clustering, and classification with Scikit-learn. "
    "Contains the Azure ML SDK and additional python packages.",
    "tags": {"Scikit-learn": "1.0", "OS": "Ubuntu20.04", "Preview": ""},
    "properties": {},
    "isArchived": False,
    "isAnonymous": False,
    "environmentType": "Curated",
    "condaFile": "",
    "osType": "Linux",
    "autoRebuild": "Disabled",
    "provisioningState": "Succeeded",
    "stage": "Development",
    "intellectualProperty": None,
    "autoDeleteSetting": None,
}
_FOUND = AssetVersion(_SKLEARN, "1", _SKLEARN_PROPERTIES, _SKLEARN_MADE, _SKLEARN_MADE)
_WITH_VERSIONS = (AssetContainer(_SKLEARN, _SKLEARN_MADE, {_FOUND.version: _FOUND}),)


def curated_version(name: str, version: str) -> tuple[AssetContainer, AssetVersion] | None:
    """Return a version of an environment of Microsoft's; None if it was not recorded."""
    found = next((one for one in _WITH_VERSIONS if one.name == name and version in one.versions), None)
    return None if found is None else (found, found.versions[version])
