"""Environments and their versions.

Sources: environment_put_conda_201.json, environment_get_container_404.json,
environment_version_get_curated.json, environment_versions_list_latest.json, environment_put_2026.json,
environment_put_anonymous_2026.json, environments_list_2026.json, environment_container_archive_2026.json,
environment_version_delete_2025.json; and of a build context the recording of azure-ai-ml's
`test_environment_create_or_update_docker_context` of 2023-10-31 (Azure/azure-sdk-assets).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.http.schemas import EnvironmentSchema
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion
from zenml_azureml.emulator.services.aml import curated
from zenml_azureml.emulator.services.aml.asset_paths import find_place
from zenml_azureml.emulator.services.aml.asset_routes import AssetRoutes
from zenml_azureml.emulator.services.aml.assets import AssetKind
from zenml_azureml.emulator.services.aml.conda import conda_as_json
from zenml_azureml.emulator.services.aml.places import AssetPathError
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

# Recorded in 2023-04-01-preview and 2024-04-01, and not in 2022-05-01. Guess: 2024-04-01 is the first stable version.
_NEWER = Window("2024-04-01", "2023-04-01")
_PREVIEW = Window(None, "2023-04-01")
_WINDOWS = {
    **dict.fromkeys(("autoRebuild", "provisioningState", "stage", "azureml.labels"), _NEWER),
    **dict.fromkeys(("autoDeleteSetting", "intellectualProperty"), _PREVIEW),
}

_SYSTEMS = {"linux": "Linux", "windows": "Windows"}


class Environments(AssetKind):
    """Environments."""

    plural = "environments"
    singular = "Environment"
    schema = EnvironmentSchema
    repeat_status = 201  # recorded for an anonymous one: environment_put_anonymous_2026.json

    def complete(self, sent: Json, workspace: Workspace, name: str, version: str) -> Json:
        """Return the properties of a version; `image` and `build` only if they were sent."""
        del workspace, version
        if name.lower().startswith("azureml-"):
            # Quoted (MicrosoftDocs/azure-docs#65770). Guess: the answer to a PUT has the same message.
            raise ServiceError(
                400,
                "UserError",
                "Environment name can not start with the prefix AzureML. To alter a curated environment first create a "
                "copy of it.",
            )
        properties: Json = {
            "description": sent.get("description"),
            "tags": sent.get("tags") or {},
            "properties": sent.get("properties") or {},
            "isArchived": bool(sent.get("isArchived")),
            "isAnonymous": bool(sent.get("isAnonymous")),
            "autoDeleteSetting": sent.get("autoDeleteSetting"),
            "environmentType": "UserCreated",
        }
        # Recorded: `image` before `condaFile`, `build` after it; `condaFile` is empty if there is none
        # (environment_versions_list_2024.json).
        if sent.get("image") is not None:
            properties["image"] = sent["image"]
        properties["condaFile"] = conda_as_json(sent["condaFile"]) if sent.get("condaFile") else ""
        if sent.get("build") is not None:
            # Recorded with a Dockerfile that was named. Guess: the default, that of Microsoft's description of the API.
            properties["build"] = {
                **sent["build"],
                "dockerfilePath": sent["build"].get("dockerfilePath") or "Dockerfile",
            }
        # azure-ai-ml's `test_component_download` expects the same environment of `linux` and of no system.
        properties["osType"] = _SYSTEMS.get(str(sent.get("osType") or "linux").lower(), sent.get("osType"))
        stage = "Logged" if properties["isAnonymous"] else "Development"
        properties |= {"autoRebuild": "Disabled", "provisioningState": "Succeeded", "stage": sent.get("stage") or stage}
        properties["intellectualProperty"] = None
        return properties

    def reconciled(self, existing: Json, wanted: Json, workspace: Workspace, state_folder: Path) -> Json:
        """Keep the build context of a version if another one with the same content is sent.

        Guess: clients upload the same folder to another place, and azure-ai-ml's `test_environment_create_or_update_
        docker_context` expects the first place in the answer.
        """
        old, new = existing.get("build"), wanted.get("build")
        if not old or not new or old == new or old["dockerfilePath"] != new["dockerfilePath"]:
            return wanted
        try:
            contexts = [find_place(state_folder, workspace, str(build.get("contextUri"))) for build in (old, new)]
            first, second = ({name: file.read_bytes() for name, file in place.files()} for place in contexts)
        except (AssetPathError, OSError):
            return wanted
        return {**wanted, "build": old} if first and first == second else wanted

    def missing(self, name: str, version: str) -> ServiceError:
        """Return the refusal; the trailing space is the service's."""
        return ServiceError(
            404,
            "UserError",
            f"No environment exists for name: {name}, version: {version}, label: ",
            inner=["NotFoundError"],
        )

    def shown(self, found: AssetVersion, container: AssetContainer, version: ApiVersion) -> Json:
        """Return the properties of a version, with the label of the latest one."""
        properties = version.select(found.properties, _WINDOWS)
        labels = {"azureml.labels": ""} if found.properties["isAnonymous"] else {}
        if not labels and found is container.latest:
            labels = {"azureml.labels": "latest"}
        properties["properties"] = version.select({**properties["properties"], **labels}, _WINDOWS)
        return properties

    def shown_container(self, container: AssetContainer, next_version: str, version: ApiVersion) -> Json:
        """Return the properties of an environment, which are empty instead of null."""
        latest = container.latest
        properties = {
            "description": container.description or "",
            "tags": container.tags or {},
            "properties": container.properties or {},
            "isArchived": container.is_archived,
            "latestVersion": latest and self.latest_version(latest),
            "nextVersion": next_version,
            "provisioningState": "Succeeded",
        }
        return version.select(properties, _WINDOWS)

    def latest_version(self, latest: AssetVersion) -> str:
        """Return the latest version; 0 for the container of all anonymous ones, whose versions are hashes."""
        return "0" if latest.properties["isAnonymous"] else latest.version

    def curated(self) -> Sequence[AssetContainer]:
        """Return those of Microsoft's environments that are in the list."""
        return curated.LISTED

    def curated_asset(self, name: str) -> AssetContainer | None:
        """Return one of Microsoft's environments."""
        return curated.find(name)


def routes() -> list[web.RouteDef]:
    """Return the routes of environments."""
    return AssetRoutes(Environments()).routes()
