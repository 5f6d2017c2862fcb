"""Environments that Microsoft curates: they are in every workspace. The two here are those that were recorded."""

from __future__ import annotations

from datetime import datetime, timezone

from zenml_azureml.emulator.resources import AssetContainer, AssetVersion
from zenml_azureml.emulator.types import Json

_PYTORCH, _PYTORCH_MADE = (
    "AzureML-ACPT-pytorch-1.13-py38-cuda11.7-gpu",
    datetime(2023, 1, 24, 4, 0, 54, tzinfo=timezone.utc),
)
_SKLEARN, _SKLEARN_MADE = (
    "AzureML-sklearn-1.0-ubuntu20.04-py38-cpu",
    datetime(2021, 12, 15, 0, 51, 33, tzinfo=timezone.utc),
)

# Recorded: environment_version_get_curated.json. It is built from a Dockerfile, and so shows no image.
_SKLEARN_PROPERTIES: Json = {
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


def _container(name: str, version: str, made: datetime, properties: Json) -> AssetContainer:
    return AssetContainer(name, made, {version: AssetVersion(name, version, properties, made, made)})


#: The one at the end of the recorded list (environments_list_2026.json). Guess: the properties of its version.
LISTED = (_container(_PYTORCH, "10", _PYTORCH_MADE, {**_SKLEARN_PROPERTIES, "description": "", "tags": {}}),)
_ALL = (*LISTED, _container(_SKLEARN, "1", _SKLEARN_MADE, _SKLEARN_PROPERTIES))


def find(name: str) -> AssetContainer | None:
    """Return an environment of Microsoft's; None if it was not recorded."""
    return next((one for one in _ALL if one.name == name), None)
