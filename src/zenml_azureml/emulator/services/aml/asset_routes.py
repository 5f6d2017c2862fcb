"""Requests to versions of assets, of whatever kind: environments, data, models, code and components.

Sources beside those that the kinds name: data_version_put_2026.json, data_container_get_2026.json,
model_versions_404_2026.json, environments_list_2026.json, environment_container_archive_2026.json,
environment_version_delete_2025.json; and the exchanges in `tests/parity/assets`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.api_versions import ApiVersion
from zenml_azureml.emulator.http.json_bodies import with_texts
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
from zenml_azureml.emulator.http.schemas import ContainerSchema
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion
from zenml_azureml.emulator.services.aml.assets import AssetKind
from zenml_azureml.emulator.state import PROVIDER, Workspace
from zenml_azureml.emulator.types import Json

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}")


class AssetRoutes:
    """The operations on one kind of asset.

    Args:
        kind: The kind.
        scope: Path of what has the assets.
        scope_of: Returns what has the assets of a request.
        parent: The same as a type of resources.
        new_status: Status of a PUT that makes a version.
        lists_missing: True if the list of versions of an asset that does not exist is empty.
    """

    def __init__(
        self,
        kind: AssetKind,
        *,
        scope: str = WORKSPACE,
        scope_of: Callable[[web.Request], Workspace] = workspace_of,
        parent: str = "workspaces",
        new_status: int = 201,
        lists_missing: bool = False,
    ) -> None:
        self._kind = kind
        self._scope = scope
        self._scope_of = scope_of
        self._type = f"{PROVIDER}/{parent}/{kind.plural}"
        self._new_status = new_status
        self._lists_missing = lists_missing

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        container = f"{self._scope}/{self._kind.plural}/{{asset}}"
        version = f"{container}/versions/{{version}}"
        return [
            web.get(f"{self._scope}/{self._kind.plural}", self._list_containers),
            web.get(container, self._get_container),
            web.put(container, self._put_container),
            web.delete(container, self._delete_container),
            web.get(f"{container}/versions", self._list_versions),
            web.get(version, self._get_version),
            web.put(version, self._put_version),
            web.delete(version, self._delete_version),
        ]

    async def _put_version(self, request: web.Request) -> web.Response:
        workspace, context = self._scope_of(request), request.app[CONTEXT]
        name, version = request.match_info["asset"], request.match_info["version"]
        self._check_names(name, version)
        sent = with_texts((await json_body(request)).get("properties") or {}, "tags", "properties")
        checked(self._kind.schema, sent)
        wanted = await asyncio.to_thread(self._kind.complete, sent, workspace, name, version)
        await asyncio.to_thread(self._kind.check_files, sent, workspace, context.folder)
        container = workspace.assets_of(self._kind.plural).get(name)
        existing = container.versions.get(version) if container else None
        is_new = existing is None
        if existing is not None:
            reconcile = self._kind.reconciled
            wanted = await asyncio.to_thread(reconcile, existing.properties, wanted, workspace, context.folder)
        found = self._kind.put(workspace, name, version, wanted, context.clock.now())
        headers = {}
        status = self._new_status if is_new else self._kind.repeat_status
        if status == 201:  # recorded: 200 and no `Location` for data that exists
            path = self._kind.version_id(workspace, name, version)
            headers["Location"] = f"{context.base_url}{path}?{request.rel_url.raw_query_string}"
        return aml_json(request, self._render(request, found, workspace), status=status, headers=headers)

    async def _get_version(self, request: web.Request) -> web.Response:
        body = self._render(request, self._version_of(request), self._scope_of(request))
        if self._kind.default_version and request.match_info["version"] == self._kind.default_version:
            body["id"] = f"{body['id'].rpartition('/versions/')[0]}/labels/default"  # recorded of a component
        return aml_json(request, body)

    async def _delete_version(self, request: web.Request) -> web.Response:
        """Delete a version at once (recorded: environment_version_delete_2025.json)."""
        found = self._version_of(request)
        container = self._scope_of(request).assets_of(self._kind.plural).get(found.name)
        if container is None:  # Microsoft's. Guess: the answer.
            raise self._kind.missing(found.name, found.version)
        container.versions.pop(found.version)
        return aml_empty(request, status=200)

    async def _list_versions(self, request: web.Request) -> web.Response:
        """Newest first; with `$top` no `nextLink`, although there are more (recorded)."""
        workspace = self._scope_of(request)
        is_shown = in_view(request.query.get("listViewType"))
        name = request.match_info["asset"]
        is_missing = self._lists_missing and name not in workspace.assets_of(self._kind.plural)
        found = [] if is_missing else self._kind.listed(workspace, name, request.query)
        newest_first = [one for one in found if is_shown(one.properties)]
        if "$top" in request.query:
            newest_first = newest_first[: _top(request.query["$top"])]
        return paged(request, newest_first, lambda one: self._render(request, one, workspace))

    async def _get_container(self, request: web.Request) -> web.Response:
        return aml_json(request, self._render_container(request, self._container_of(request)))

    async def _put_container(self, request: web.Request) -> web.Response:
        """Change a container, for example archive it (recorded: environment_container_archive_2026.json)."""
        context, workspace = request.app[CONTEXT], self._scope_of(request)
        name = request.match_info["asset"]
        self._check_names(name, "1")
        sent = with_texts((await json_body(request)).get("properties") or {}, "tags", "properties")
        checked(ContainerSchema, sent)
        # Guess: a container without a version can be created.
        container = workspace.assets_of(self._kind.plural).setdefault(name, AssetContainer(name, context.clock.now()))
        container.description = sent.get("description") or ""
        container.tags, container.properties = sent.get("tags") or {}, sent.get("properties") or {}
        container.is_archived = bool(sent.get("isArchived"))
        location = f"{context.base_url}{workspace.path}/{self._kind.plural}/{name}?{request.rel_url.raw_query_string}"
        body = self._render_container(request, container)
        return aml_json(request, body, status=201, headers={"Location": location})

    async def _delete_container(self, request: web.Request) -> web.Response:
        """Delete an asset with all its versions. Guess: as a version is."""
        workspace, name = self._scope_of(request), request.match_info["asset"]
        if workspace.assets_of(self._kind.plural).pop(name, None) is None:
            raise self._kind.missing(name, "")
        return aml_empty(request, status=200)

    async def _list_containers(self, request: web.Request) -> web.Response:
        """Newest first, and those that every workspace has at the end (recorded: environments_list_2026.json)."""
        is_shown = in_view(request.query.get("listViewType"))
        all_own = self._scope_of(request).assets_of(self._kind.plural).values()
        own = [one for one in all_own if is_shown({"isArchived": one.is_archived})]
        newest_first = sorted(own, key=lambda one: one.created_at, reverse=True)
        return paged(request, [*newest_first, *self._kind.curated()], lambda one: self._render_container(request, one))

    def _version_of(self, request: web.Request) -> AssetVersion:
        name, version = request.match_info["asset"], request.match_info["version"]
        container = self._kind.asset_of(self._scope_of(request), name)
        found = container.versions.get(version) if container else None
        if container is not None and self._kind.default_version and version == self._kind.default_version:
            found = container.latest
        if found is None:
            raise self._kind.missing(name, version)
        return found

    def _container_of(self, request: web.Request) -> AssetContainer:
        name = request.match_info["asset"]
        found = self._kind.asset_of(self._scope_of(request), name)
        if found is None:
            raise self._kind.missing(name, "")
        return found

    def _check_names(self, name: str, version: str) -> None:
        if not _NAME.fullmatch(name) or not _NAME.fullmatch(version):
            # Guess: the message; the rule is that of the SDK's own check of environments.
            raise ServiceError(
                400,
                "UserError",
                f"The name '{name}' or the version '{version}' of the {self._kind.singular.lower()} is invalid. Both "
                "must start with a letter or a digit, followed by at most 254 letters, digits, dots, hyphens or "
                "underscores.",
            )

    def _render(self, request: web.Request, found: AssetVersion, workspace: Workspace) -> Json:
        version = ApiVersion.parse(request.query["api-version"])
        container = self._kind.asset_of(workspace, found.name)
        assert container is not None  # noqa: S101 - a version has its asset
        return {
            "id": self._kind.version_id(workspace, found.name, found.version),
            "name": found.version,
            "type": f"{self._type}/versions",
            "properties": self._kind.shown(found, container, version),
            "systemData": self._system_data(request, found.created_at, found.modified_at),
        }

    def _render_container(self, request: web.Request, container: AssetContainer) -> Json:
        context, version = request.app[CONTEXT], ApiVersion.parse(request.query["api-version"])
        latest = container.latest
        modified = latest.modified_at if latest else container.created_at
        next_version = self._kind.next_version(container, context.clock.now())
        return {
            "id": f"{self._scope_of(request).path}/{self._kind.plural}/{container.name}",
            "name": container.name,
            "type": self._type,
            "properties": self._kind.shown_container(container, next_version, version),
            "systemData": self._system_data(request, container.created_at, modified, is_container=True),
        }

    def _system_data(
        self, request: web.Request, created: datetime, modified: datetime, *, is_container: bool = False
    ) -> Json:
        context: Context = request.app[CONTEXT]
        has_modifier = self._kind.has_own_modifier or (created != modified and not is_container)
        who = {"lastModifiedBy": context.client_id, "lastModifiedByType": "Application"}
        return {
            "createdAt": timestamp(created),
            "createdBy": context.client_id,
            "createdByType": "Application",
            "lastModifiedAt": timestamp(modified),
            **(who if has_modifier else {}),
        }


def _top(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        # Guess: the message.
        raise ServiceError(400, "UserError", "The query parameter $top is not a number.")
    return int(text)
