"""Models: versions of files that jobs have trained.

Sources: model_versions_404_2026.json, and the recording of azure-ai-ml's `test_model_archive_restore_version` of
2026-03-26 (Azure/azure-sdk-assets).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.bounds import without_nul
from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion
from zenml_azureml.emulator.services.aml.asset_paths import find_place
from zenml_azureml.emulator.services.aml.asset_routes import AssetRoutes
from zenml_azureml.emulator.services.aml.assets import AssetKind
from zenml_azureml.emulator.services.aml.data import not_found, path_conflict
from zenml_azureml.emulator.services.aml.output_references import output_reference
from zenml_azureml.emulator.services.aml.output_uris import no_artifacts, stored_uri
from zenml_azureml.emulator.services.aml.places import AssetPathError
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_Text = Annotated[str, AfterValidator(without_nul)]
_Tags = dict[_Text, _Text | None]

# Recorded in 2023-08-01-preview. Guess: the first versions.
_NEWER = Window("2023-10-01", "2023-02-01")
_PREVIEW = Window(None, "2023-02-01")
_WINDOWS = {
    "autoDeleteSetting": _PREVIEW,
    "intellectualProperty": _PREVIEW,
    "provisioningState": _NEWER,
    "stage": _NEWER,
}


class _ModelSchema(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True, protected_namespaces=())

    description: _Text | None = None
    tags: _Tags | None = None
    properties: _Tags | None = None
    is_archived: bool | None = Field(None, alias="isArchived")
    is_anonymous: bool | None = Field(None, alias="isAnonymous")
    flavors: dict[str, Any] | None = None
    job_name: _Text | None = Field(None, alias="jobName")
    model_type: _Text | None = Field(None, alias="modelType")
    model_uri: _Text | None = Field(None, alias="modelUri")
    stage: _Text | None = None
    auto_delete: dict[str, Any] | None = Field(None, alias="autoDeleteSetting")


class Models(AssetKind):
    """Models."""

    plural = "models"
    singular = "Model"
    schema = _ModelSchema
    # Guess: `stage` and `autoDeleteSetting`; the others are recorded of an archived version.
    mutable = frozenset({"description", "tags", "properties", "isArchived", "stage", "autoDeleteSetting", "flavors"})

    def complete(self, sent: Json, workspace: Workspace, name: str, version: str) -> Json:
        """Return the properties of a version."""
        del name, version
        uri = sent.get("modelUri")
        if not uri:
            # Guess: there is no recording of this message.
            raise ServiceError(400, "UserError", "The field modelUri is required.")
        reference = output_reference(uri)
        return {
            "description": sent.get("description"),
            "tags": sent.get("tags") or {},
            "properties": sent.get("properties") or {},
            "isArchived": bool(sent.get("isArchived")),
            "isAnonymous": bool(sent.get("isAnonymous")),
            "autoDeleteSetting": sent.get("autoDeleteSetting"),
            "flavors": sent.get("flavors") or {},
            "modelType": sent.get("modelType") or "custom_model",
            # Recorded: `resourcegroups` comes back as `resourceGroups`.
            "modelUri": stored_uri(uri, workspace, group_word="resourceGroups"),
            # Reported by a user (Azure/azure-sdk-for-python#37962): a path of a job links the model with it.
            "jobName": sent.get("jobName") or (reference.job if reference else None),
            "provisioningState": "Succeeded",
            "stage": sent.get("stage") or "Development",
            "intellectualProperty": None,
        }

    def check_files(self, sent: Json, workspace: Workspace, state_folder: Path) -> None:
        """Refuse a version whose path is one of a job and leads to no file.

        Quoted in public reports (Azure/azure-sdk-for-python#33978); others say that paths of datastores are not
        looked at.
        """
        reference = output_reference(str(sent["modelUri"]))
        if reference is None:
            return
        try:
            files = find_place(state_folder, workspace, str(sent["modelUri"])).files()
        except AssetPathError:
            files = []  # Guess: so of a path that leads out of the job
        if not files:
            raise no_artifacts(reference)

    def reconciled(self, existing: Json, wanted: Json, workspace: Workspace, state_folder: Path) -> Json:
        """Keep the job of a version: clients that change its description send back its path, which names no job."""
        del workspace, state_folder
        return {**wanted, "jobName": wanted["jobName"] or existing["jobName"]}

    def conflict(self, name: str, version: str) -> ServiceError:
        """Return the refusal of a PUT with another path."""
        return path_conflict(name, version)

    def missing(self, name: str, version: str) -> ServiceError:
        """Return the refusal."""
        if version:
            # Guess: the words for a version.
            return not_found("ModelNotFound", f"Model with name: {name} and version: {version} not found.")
        return not_found("ModelNotFound", f"Model container with name: {name} not found.")

    def shown(self, found: AssetVersion, container: AssetContainer, version: ApiVersion) -> Json:
        """Return the properties of a version."""
        del container
        return version.select(found.properties, _WINDOWS)

    def shown_container(self, container: AssetContainer, next_version: str, version: ApiVersion) -> Json:
        """Return the properties of a model."""
        body = super().shown_container(container, next_version, version)
        return version.select({**body, "provisioningState": "Succeeded"}, _WINDOWS)


def routes() -> list[web.RouteDef]:
    """Return the routes of models."""
    return AssetRoutes(Models()).routes()
