"""Code: snapshots of folders, found again by the hash of their content.

Source: code_versions_by_hash_2026.json.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.bounds import without_nul
from zenml_azureml.emulator.http.responses import WORKSPACE, ServiceError, aml_json, json_body, workspace_of
from zenml_azureml.emulator.resources import AssetVersion
from zenml_azureml.emulator.services.aml.asset_routes import AssetRoutes
from zenml_azureml.emulator.services.aml.assets import AssetKind
from zenml_azureml.emulator.services.aml.data import not_found, path_conflict
from zenml_azureml.emulator.services.arm.other_resources import storage_account_id
from zenml_azureml.emulator.services.storage.files import AccountFiles
from zenml_azureml.emulator.services.storage.sas import account_of
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

_Text = Annotated[str, AfterValidator(without_nul)]

_IN_CONTAINER_NAMES = string.ascii_lowercase + string.digits


class _CodeSchema(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True)

    description: _Text | None = None
    tags: dict[_Text, _Text | None] | None = None
    properties: dict[_Text, _Text | int | None] | None = None
    is_archived: bool | None = Field(None, alias="isArchived")
    is_anonymous: bool | None = Field(None, alias="isAnonymous")
    code_uri: _Text | None = Field(None, alias="codeUri")


class Codes(AssetKind):
    """Code."""

    plural = "codes"
    singular = "Code"
    schema = _CodeSchema

    def complete(self, sent: Json, workspace: Workspace, name: str, version: str) -> Json:
        """Return the properties of a version."""
        del workspace, name, version
        if not sent.get("codeUri"):
            # Guess: there is no recording of this message.
            raise ServiceError(400, "UserError", "The field codeUri is required.")
        return {
            "description": sent.get("description"),
            "tags": sent.get("tags") or {},
            # The SDK sends the version of its hash as a number; a text comes back (recorded).
            "properties": {key: str(value) for key, value in (sent.get("properties") or {}).items()},
            "isArchived": bool(sent.get("isArchived")),
            # Recorded: false of what the SDK has uploaded for a job. Guess: also if it says that it is anonymous.
            "isAnonymous": False,
            "codeUri": sent["codeUri"],
            "provisioningState": "Succeeded",
        }

    def conflict(self, name: str, version: str) -> ServiceError:
        """Return the refusal of a PUT with another path."""
        return path_conflict(name, version)

    def missing(self, name: str, version: str) -> ServiceError:
        """Return the refusal."""
        what = f"name: {name} and version: {version}" if version else f"name: {name}"
        # Guess: the words; the form is the one that was recorded of models.
        return not_found("CodeNotFound", f"Code with {what} not found.")

    def listed(self, workspace: Workspace, name: str, query: Mapping[str, str]) -> list[AssetVersion]:
        """Return the versions with a hash, whatever their name is (recorded); without a hash those of a name."""
        if "hash" not in query:
            return super().listed(workspace, name, query)
        wanted = (query["hash"], query.get("hashVersion"))
        every = [found for one in workspace.assets_of("codes").values() for found in one.versions.values()]
        matching = [found for found in every if _hash_of(found, with_version="hashVersion" in query) == wanted]
        return sorted(matching, key=lambda found: found.created_at, reverse=True)


def routes() -> list[web.RouteDef]:
    """Return the routes of code, with the one that the SDK asks for a place to upload to."""
    start = f"{WORKSPACE}/{Codes.plural}/{{asset}}/versions/{{version}}/startPendingUpload"
    return [*AssetRoutes(Codes()).routes(), web.post(start, start_upload)]


async def start_upload(request: web.Request) -> web.Response:
    """Answer a new container, and a SAS with which it can be written.

    Recorded: the form of the container's name and of the address (code_versions_by_hash_2026.json).
    Guess: the rest; the keys are those of Microsoft's description of the API.
    """
    context, workspace = request.app[CONTEXT], workspace_of(request)
    sent = await json_body(request)
    container = new_container(context, workspace)
    account = account_of(workspace, context.base_url)
    uri = account.sas_url(
        None, now=context.clock.now(), lifetime=timedelta(hours=1), container=container, permissions="rcwl"
    )
    body = {
        "pendingUploadId": sent.get("pendingUploadId") or str(uuid.uuid4()),
        "pendingUploadType": sent.get("pendingUploadType") or "TemporaryBlobReference",
        "blobReferenceForConsumption": {
            "blobUri": f"{account.address}/{container}",
            "storageAccountArmId": storage_account_id(workspace),
            "credential": {"credentialType": "SAS", "sasUri": uri},
        },
    }
    return aml_json(request, body)


def new_container(context: Context, workspace: Workspace) -> str:
    """Return the name of a new container in the storage account of a workspace."""
    suffix = "".join(secrets.choice(_IN_CONTAINER_NAMES) for _ in range(26))
    container = f"{workspace.workspace_id}-{suffix}"
    AccountFiles(context.folder, workspace).container(container).mkdir(parents=True, exist_ok=True)
    return container


def _hash_of(found: AssetVersion, *, with_version: bool) -> tuple[str | None, str | None]:
    properties = found.properties["properties"]
    return properties.get("hash_sha256"), properties.get("hash_version") if with_version else None
