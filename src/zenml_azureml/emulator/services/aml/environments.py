"""Environments and their versions.

Sources: environment_put_conda_201.json, environment_get_container_404.json,
environment_version_get_curated.json, environment_versions_list_latest.json.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import yaml
from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT
from zenml_azureml.emulator.http.responses import (
    WORKSPACE,
    ServiceError,
    aml_json,
    checked,
    in_view,
    json_body,
    paged,
    timestamp,
    workspace_of,
)
from zenml_azureml.emulator.http.schemas import EnvironmentSchema
from zenml_azureml.emulator.state import PROVIDER, EnvironmentVersion, Workspace
from zenml_azureml.emulator.types import Json

_CONTAINER = f"{WORKSPACE}/environments/{{environment}}"
_VERSION = f"{_CONTAINER}/versions/{{version}}"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}")

#: What a later PUT of the same version may change.
_MUTABLE = frozenset({"description", "tags", "properties", "isArchived"})


# Guess: the first version with these keys; recorded are 2022-05-01 without, 2024-04-01 with them.
_NEWER = "2024-04-01"
_NEWER_PROPERTIES = {"autoRebuild": "Disabled", "provisioningState": "Succeeded", "stage": "Development"}


def routes() -> list[web.RouteDef]:
    """Return the routes of environments."""
    return [
        web.get(f"{WORKSPACE}/environments", _list_containers),
        web.get(_CONTAINER, _get_container),
        web.get(f"{_CONTAINER}/versions", _list_versions),
        web.get(_VERSION, _get_version),
        web.put(_VERSION, _put_version),
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
    versions = workspace.environments.setdefault(name, {})
    now = context.clock.now()
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
    else:
        existing.properties = wanted
        existing.modified_at = now
    location = f"{context.base_url}{_version_id(workspace, name, version)}?{request.rel_url.raw_query_string}"
    body = _render_version(request, versions[version], workspace)
    return aml_json(request, body, status=201, headers={"Location": location})


async def _get_version(request: web.Request) -> web.Response:
    workspace = workspace_of(request)
    name, version = request.match_info["environment"], request.match_info["version"]
    found = workspace.environments.get(name, {}).get(version)
    if found is None:
        raise _missing(name, version)
    return aml_json(request, _render_version(request, found, workspace))


async def _list_versions(request: web.Request) -> web.Response:
    """Newest first; with `$top` no `nextLink`, although there are more (recorded)."""
    workspace = workspace_of(request)
    name = request.match_info["environment"]
    versions = workspace.environments.get(name)
    if not versions:
        raise _missing(name)
    is_shown = in_view(request.query.get("listViewType"))
    newest_first = [version for version in reversed(versions.values()) if is_shown(version.properties)]
    if "$top" in request.query:
        newest_first = newest_first[: _top(request.query["$top"])]
    return paged(request, newest_first, lambda version: _render_version(request, version, workspace))


async def _get_container(request: web.Request) -> web.Response:
    workspace = workspace_of(request)
    name = request.match_info["environment"]
    if not workspace.environments.get(name):
        raise _missing(name)
    return aml_json(request, _render_container(request, workspace, name))


async def _list_containers(request: web.Request) -> web.Response:
    workspace = workspace_of(request)
    names = list(workspace.environments)
    return paged(request, names, lambda name: _render_container(request, workspace, name))


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
        "environmentType": "UserCreated",
    }
    for key in ("image", "build"):
        if sent.get(key) is not None:
            properties[key] = sent[key]
    # Empty if there is none (recorded: environment_versions_list_2024.json).
    properties["condaFile"] = _conda_as_json(sent["condaFile"]) if sent.get("condaFile") else ""
    properties["osType"] = sent.get("osType") or "Linux"
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
    properties, created_by = found.properties, request.app[CONTEXT].client_id
    if request.query["api-version"][:10] >= _NEWER:
        properties = {**properties, **_NEWER_PROPERTIES}
        if found is list(workspace.environments[found.name].values())[-1]:
            properties["properties"] = {**properties["properties"], "azureml.labels": "latest"}
    return {
        "id": _version_id(workspace, found.name, found.version),
        "name": found.version,
        "type": f"{PROVIDER}/workspaces/environments/versions",
        "properties": properties,
        "systemData": _system_data(found.created_at, found.modified_at, created_by),
    }


def _render_container(request: web.Request, workspace: Workspace, name: str) -> Json:
    context = request.app[CONTEXT]
    versions = list(workspace.environments[name].values())
    return {
        "id": f"{workspace.path}/environments/{name}",
        "name": name,
        "type": f"{PROVIDER}/workspaces/environments",
        "properties": {
            "description": None,
            "tags": {},
            "properties": {},
            "isArchived": False,
            "latestVersion": versions[-1].version,
            # Guess: the form; that it is a timestamp was recorded.
            "nextVersion": f"{context.clock.now():%Y-%m-%d-%H-%M-%S-%f}",
        },
        "systemData": _system_data(versions[0].created_at, versions[-1].modified_at, context.client_id),
    }


def _system_data(created: datetime, modified: datetime, created_by: str) -> Json:
    return {
        "createdAt": timestamp(created),
        "createdBy": created_by,
        "createdByType": "Application",
        "lastModifiedAt": timestamp(modified),
        "lastModifiedBy": created_by,
        "lastModifiedByType": "Application",
    }
