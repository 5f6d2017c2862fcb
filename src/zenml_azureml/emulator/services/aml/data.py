"""Data assets: names for paths of datastores.

Sources: data_version_put_2026.json, data_version_get_2026.json, data_container_get_2026.json.
"""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.bounds import without_nul
from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion
from zenml_azureml.emulator.services.aml.asset_routes import AssetRoutes
from zenml_azureml.emulator.services.aml.assets import AssetKind
from zenml_azureml.emulator.services.aml.datastore_uris import parse_uri
from zenml_azureml.emulator.services.aml.output_uris import stored_uri
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_Text = Annotated[str, AfterValidator(without_nul)]
_Tags = dict[_Text, _Text | None]

#: Types of data. Source: Microsoft's description of the API, `DataType`.
DATA_TYPES = ("uri_file", "uri_folder", "mltable")

# Recorded in 2023-04-01-preview. Guess: the first versions.
_PREVIEW = Window(None, "2023-04-01")
_WINDOWS = {
    "autoDeleteSetting": _PREVIEW,
    "intellectualProperty": _PREVIEW,
    "stage": _PREVIEW,
}


class _DataSchema(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True)

    description: _Text | None = None
    tags: _Tags | None = None
    properties: _Tags | None = None
    is_archived: bool | None = Field(None, alias="isArchived")
    is_anonymous: bool | None = Field(None, alias="isAnonymous")
    data_type: _Text | None = Field(None, alias="dataType")
    data_uri: _Text | None = Field(None, alias="dataUri")
    referenced_uris: list[_Text] | None = Field(None, alias="referencedUris")
    stage: _Text | None = None
    auto_delete: dict[str, Any] | None = Field(None, alias="autoDeleteSetting")


class Data(AssetKind):
    """Data assets."""

    plural = "data"
    singular = "Data asset"
    schema = _DataSchema
    # Guess: `stage` and `autoDeleteSetting`; the others are recorded of an archived version.
    mutable = frozenset({"description", "tags", "properties", "isArchived", "stage", "autoDeleteSetting"})
    has_own_modifier = False

    def complete(self, sent: Json, workspace: Workspace, name: str, version: str) -> Json:
        """Return the properties of a version; a path of a datastore is answered in its long form."""
        del version
        kind, uri = sent.get("dataType"), sent.get("dataUri")
        if kind not in DATA_TYPES:
            # Guess: there is no recording of this message.
            raise ServiceError(400, "UserError", f"The data type '{kind}' is none of {', '.join(DATA_TYPES)}.")
        if not uri:
            # Guess: as above.
            raise ServiceError(400, "UserError", "The field dataUri is required.")
        earlier = workspace.assets_of("data").get(name)
        latest = earlier.latest if earlier else None
        if latest is not None and latest.properties["dataType"] != kind:
            # Guess: the message; all versions of an asset have one type (Microsoft: "Create and manage data assets").
            raise ServiceError(
                400,
                "UserError",
                f"The data asset {name} has the type {latest.properties['dataType']}; all its versions have that type.",
            )
        properties: Json = {
            "description": sent.get("description"),
            "tags": sent.get("tags") or {},
            "properties": sent.get("properties") or {},
            "isArchived": bool(sent.get("isArchived")),
            "isAnonymous": bool(sent.get("isAnonymous")),
            "autoDeleteSetting": sent.get("autoDeleteSetting"),
            "dataUri": _answered_uri(uri, kind, workspace),
            "stage": sent.get("stage"),
            "intellectualProperty": None,
        }
        if kind == "mltable":
            # Guess: its place; the key is that of Microsoft's description of the API.
            properties["referencedUris"] = sent.get("referencedUris")
        properties["dataType"] = kind
        return properties

    def conflict(self, name: str, version: str) -> ServiceError:
        """Return the refusal of a PUT with another path."""
        return path_conflict(name, version)

    def missing(self, name: str, version: str) -> ServiceError:
        """Return the refusal."""
        what = f"name: {name}, version: {version}" if version else f"name: {name}"
        # Guess: the words; the form is the one that was recorded of models.
        return not_found("DatasetNotFound", f"Data asset with {what} not found.")

    def shown(self, found: AssetVersion, container: AssetContainer, version: ApiVersion) -> Json:
        """Return the properties of a version."""
        del container
        return version.select(found.properties, _WINDOWS)

    def shown_container(self, container: AssetContainer, next_version: str, version: ApiVersion) -> Json:
        """Return the properties of a data asset, with the type of its versions."""
        body = super().shown_container(container, next_version, version)
        latest = container.latest
        # Guess: the type of one without a version.
        return {**body, "dataType": latest.properties["dataType"] if latest else "uri_folder"}


def routes() -> list[web.RouteDef]:
    """Return the routes of data assets."""
    return AssetRoutes(Data()).routes()


def _answered_uri(uri: str, kind: str, workspace: Workspace) -> str:
    """Return the path of a data asset; that of a folder ends with a slash.

    Recorded: azure-ai-ml's `test_create_uri_folder` of 2026-03-27. Guess: tables, as its `test_create_mltable` expects;
    other addresses than paths of datastores stay as they are.
    """
    stored = stored_uri(uri, workspace)
    is_folder = kind in ("uri_folder", "mltable") and parse_uri(stored) is not None
    return f"{stored.rstrip('/')}/" if is_folder else stored


def path_conflict(name: str, version: str) -> ServiceError:
    """Return the refusal of a PUT that gives an existing version another path.

    Args:
        name: Name of the asset.
        version: The version.
    """
    del name, version
    # The words are those that azure-ai-ml looks for (`ASSET_PATH_ERROR`). Guess: the status.
    return ServiceError(400, "UserError", "Asset paths cannot be updated.")


def not_found(code: str, message: str) -> ServiceError:
    """Return a refusal that has its words in a detail (recorded: model_versions_404_2026.json).

    Args:
        code: Code of the detail.
        message: Message of the detail.
    """
    detail = {"code": code, "message": message, "details": [], "additionalInfo": []}
    return ServiceError(404, "UserError", "The specified resource was not found.", details=[detail])
