"""Environments and their versions.

Sources: environment_put_conda_201.json, environment_get_container_404.json,
environment_version_get_curated.json, environment_versions_list_latest.json, environment_put_2026.json,
environment_put_anonymous_2026.json, environments_list_2026.json, environment_container_archive_2026.json,
environment_version_delete_2025.json.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import yaml
from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.api_versions import ApiVersion, Window
from zenml_azureml.emulator.http.responses import (
    WORKSPACE,
    ServiceError,
    aml_empty,
    aml_json,
    checked,
    in_view,
    json_body,
    paged,
    timestamp,
    workspace_of,
)
from zenml_azureml.emulator.http.schemas import ContainerSchema, EnvironmentSchema
from zenml_azureml.emulator.state import PROVIDER, EnvironmentContainer, EnvironmentVersion, Workspace
from zenml_azureml.emulator.types import Json

_CONTAINER = f"{WORKSPACE}/environments/{{environment}}"
_VERSION = f"{_CONTAINER}/versions/{{version}}"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}")

#: What a later PUT of the same version may change.
_MUTABLE = frozenset({"description", "tags", "properties", "isArchived"})


# Recorded in 2023-04-01-preview and 2024-04-01, and not in 2022-05-01. Guess: 2024-04-01 is the first stable version.
_NEWER = Window("2024-04-01", "2023-04-01")
_PREVIEW = Window(None, "2023-04-01")
_WINDOWS = {
    **dict.fromkeys(("autoRebuild", "provisioningState", "stage", "azureml.labels"), _NEWER),
    **dict.fromkeys(("autoDeleteSetting", "intellectualProperty"), _PREVIEW),
}


#: Digits up to which a version counts as a number.
_LONGEST_NUMBER = 19

#: Of the environments that Microsoft curates and that are in every workspace, the one of the recorded list.
CURATED = (
    EnvironmentContainer(
        "AzureML-ACPT-pytorch-1.13-py38-cuda11.7-gpu",
        datetime(2023, 1, 24, 4, 0, 54, tzinfo=timezone.utc),
        {
            "10": EnvironmentVersion(
                "AzureML-ACPT-pytorch-1.13-py38-cuda11.7-gpu",
                "10",
                {"isAnonymous": False},
                datetime(2023, 1, 24, 4, 0, 54, tzinfo=timezone.utc),
                datetime(2023, 1, 24, 4, 0, 54, tzinfo=timezone.utc),
            )
        },
    ),
)


def routes() -> list[web.RouteDef]:
    """Return the routes of environments."""
    return [
        web.get(f"{WORKSPACE}/environments", _list_containers),
        web.get(_CONTAINER, _get_container),
        web.put(_CONTAINER, _put_container),
        web.get(f"{_CONTAINER}/versions", _list_versions),
        web.get(_VERSION, _get_version),
        web.put(_VERSION, _put_version),
        web.delete(_VERSION, _delete_version),
    ]


async def _put_version(request: web.Request) -> web.Response:
    """Answer 201, even for an existing version (recorded for an anonymous one)."""
    workspace = workspace_of(request)
    context = request.app[CONTEXT]
    name, version = request.match_info["environment"], request.match_info["version"]
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(version):
        # Guess: the message; the rule is that of the SDK's own check.
        raise ServiceError(
            400,
            "UserError",
            f"The name '{name}' or the version '{version}' of the environment is invalid. Both must start with a "
            "letter or a digit, followed by at most 254 letters, digits, dots, hyphens or underscores.",
        )
    sent = (await json_body(request)).get("properties") or {}
    checked(EnvironmentSchema, sent)
    wanted = await asyncio.to_thread(_complete, sent)
    now = context.clock.now()
    container = workspace.environments.setdefault(name, EnvironmentContainer(name, now))
    versions = container.versions
    existing = versions.get(version)
    if existing is None:
        versions[version] = EnvironmentVersion(name, version, wanted, now, now)
    elif _fixed(existing.properties) != _fixed(wanted):
        # Guess: the message. On this status the SDK tries the next version.
        raise ServiceError(
            409,
            "UserError",
            f"Environment {name} with version {version} already exists and cannot be changed. Use another version.",
        )
    elif existing.properties != wanted:  # one that changes nothing does not count as a change (recorded)
        existing.properties = wanted
        existing.modified_at = now
    location = f"{context.base_url}{_version_id(workspace, name, version)}?{request.rel_url.raw_query_string}"
    body = _render_version(request, versions[version], workspace)
    return aml_json(request, body, status=201, headers={"Location": location})


async def _get_version(request: web.Request) -> web.Response:
    workspace, found = workspace_of(request), _version_of(request)
    return aml_json(request, _render_version(request, found, workspace))


async def _delete_version(request: web.Request) -> web.Response:
    """Delete a version at once (recorded: environment_version_delete_2025.json)."""
    found = _version_of(request)
    workspace_of(request).environments[found.name].versions.pop(found.version)
    return aml_empty(request, status=200)


def _version_of(request: web.Request) -> EnvironmentVersion:
    name, version = request.match_info["environment"], request.match_info["version"]
    container = workspace_of(request).environments.get(name)
    found = container and container.versions.get(version)
    if not found:
        raise _missing(name, version)
    return found


async def _list_versions(request: web.Request) -> web.Response:
    """Newest first; with `$top` no `nextLink`, although there are more (recorded)."""
    workspace = workspace_of(request)
    name = request.match_info["environment"]
    container = workspace.environments.get(name)
    if container is None:
        raise _missing(name)
    is_shown = in_view(request.query.get("listViewType"))
    newest_first = [version for version in reversed(container.versions.values()) if is_shown(version.properties)]
    if "$top" in request.query:
        newest_first = newest_first[: _top(request.query["$top"])]
    return paged(request, newest_first, lambda version: _render_version(request, version, workspace))


async def _get_container(request: web.Request) -> web.Response:
    return aml_json(request, _render_container(request, _container_of(request)))


async def _put_container(request: web.Request) -> web.Response:
    """Change a container, for example archive it (recorded: environment_container_archive_2026.json)."""
    context, workspace = request.app[CONTEXT], workspace_of(request)
    sent = (await json_body(request)).get("properties") or {}
    checked(ContainerSchema, sent)
    name = request.match_info["environment"]
    # Guess: a container without a version can be created.
    container = workspace.environments.setdefault(name, EnvironmentContainer(name, context.clock.now()))
    container.description = sent.get("description") or ""
    container.tags, container.properties = sent.get("tags") or {}, sent.get("properties") or {}
    container.is_archived = bool(sent.get("isArchived"))
    location = f"{context.base_url}{workspace.path}/environments/{name}?{request.rel_url.raw_query_string}"
    return aml_json(request, _render_container(request, container), status=201, headers={"Location": location})


async def _list_containers(request: web.Request) -> web.Response:
    """Newest first, and a curated one of Microsoft's at the end (recorded: environments_list_2026.json)."""
    workspace = workspace_of(request)
    is_shown = in_view(request.query.get("listViewType"))
    own = [one for one in workspace.environments.values() if is_shown({"isArchived": one.is_archived})]
    newest_first = sorted(own, key=lambda one: one.created_at, reverse=True)
    return paged(request, [*newest_first, *CURATED], lambda container: _render_container(request, container))


def _container_of(request: web.Request) -> EnvironmentContainer:
    name = request.match_info["environment"]
    curated = {container.name: container for container in CURATED}
    found = workspace_of(request).environments.get(name) or curated.get(name)
    if found is None:
        raise _missing(name)
    return found


def _top(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        # Guess: the message.
        raise ServiceError(400, "UserError", "The query parameter $top is not a number.")
    return int(text)


def _missing(name: str, version: str = "") -> ServiceError:
    """Return the refusal; the trailing space is the service's."""
    return ServiceError(
        404,
        "UserError",
        f"No environment exists for name: {name}, version: {version}, label: ",
        inner=["NotFoundError"],
    )


def _complete(sent: Mapping[str, Any]) -> Json:
    """Return the properties of a version; `image` and `build` only if they were sent."""
    properties: Json = {
        "description": sent.get("description"),
        "tags": sent.get("tags") or {},
        "properties": sent.get("properties") or {},
        "isArchived": bool(sent.get("isArchived")),
        "isAnonymous": bool(sent.get("isAnonymous")),
        "autoDeleteSetting": sent.get("autoDeleteSetting"),
        "environmentType": "UserCreated",
    }
    for key in ("image", "build"):
        if sent.get(key) is not None:
            properties[key] = sent[key]
    # Empty if there is none (recorded: environment_versions_list_2024.json).
    properties["condaFile"] = _conda_as_json(sent["condaFile"]) if sent.get("condaFile") else ""
    properties["osType"] = sent.get("osType") or "Linux"
    stage = "Logged" if properties["isAnonymous"] else "Development"
    properties |= {"autoRebuild": "Disabled", "provisioningState": "Succeeded", "stage": sent.get("stage") or stage}
    properties["intellectualProperty"] = None
    return properties


def _conda_as_json(text: str) -> str:
    """Return a conda file, which is sent as YAML, as indented JSON."""
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            # A few lines of aliases of aliases are gigabytes of JSON.
            raise ValueError("it has aliases")
        return json.dumps(yaml.safe_load(text), indent=2)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        # Guess: there is no recording of this message.
        raise ServiceError(400, "UserError", "The conda file is not valid YAML.") from error


def _fixed(properties: Json) -> Json:
    return {key: value for key, value in properties.items() if key not in _MUTABLE}


def _version_id(workspace: Workspace, name: str, version: str) -> str:
    return f"{workspace.path}/environments/{name}/versions/{version}"


def _render_version(request: web.Request, found: EnvironmentVersion, workspace: Workspace) -> Json:
    created_by, version = request.app[CONTEXT].client_id, ApiVersion.parse(request.query["api-version"])
    properties = version.select(found.properties, _WINDOWS)
    labels = {"azureml.labels": ""} if found.properties["isAnonymous"] else {}
    if not labels and found is workspace.environments[found.name].latest:
        labels = {"azureml.labels": "latest"}
    properties["properties"] = version.select({**properties["properties"], **labels}, _WINDOWS)
    return {
        "id": _version_id(workspace, found.name, found.version),
        "name": found.version,
        "type": f"{PROVIDER}/workspaces/environments/versions",
        "properties": properties,
        "systemData": _system_data(found.created_at, found.modified_at, created_by),
    }


def _render_container(request: web.Request, container: EnvironmentContainer) -> Json:
    context, workspace = request.app[CONTEXT], workspace_of(request)
    version = ApiVersion.parse(request.query["api-version"])
    latest = container.latest
    properties = {
        "description": container.description,
        "tags": container.tags,
        "properties": container.properties,
        "isArchived": container.is_archived,
        "latestVersion": latest and _latest_version(latest),
        "nextVersion": _next_version(latest) if latest else f"{context.clock.now():%Y-%m-%d-%H-%M-%S-%f}",
        "provisioningState": "Succeeded",
    }
    modified = latest.modified_at if latest else container.created_at
    return {
        "id": f"{workspace.path}/environments/{container.name}",
        "name": container.name,
        "type": f"{PROVIDER}/workspaces/environments",
        "properties": version.select(properties, _WINDOWS),
        "systemData": _system_data(container.created_at, modified, context.client_id),
    }


def _latest_version(latest: EnvironmentVersion) -> str:
    # Recorded for the container of all anonymous environments, whose versions are hashes.
    return "0" if latest.properties["isAnonymous"] else latest.version


def _next_version(latest: EnvironmentVersion) -> str:
    """Return the number after the latest version; 1 after a word (recorded: environments_list_2026.json)."""
    version = _latest_version(latest)
    return str(int(version) + 1) if version.isdecimal() and len(version) < _LONGEST_NUMBER else "1"


def _system_data(created: datetime, modified: datetime, created_by: str) -> Json:
    return {
        "createdAt": timestamp(created),
        "createdBy": created_by,
        "createdByType": "Application",
        "lastModifiedAt": timestamp(modified),
        "lastModifiedBy": created_by,
        "lastModifiedByType": "Application",
    }
