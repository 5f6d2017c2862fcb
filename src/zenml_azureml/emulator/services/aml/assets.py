"""Versions of environments, data, models, code and components: one mechanism for all of them.

What differs is in an `AssetKind`: its properties, its refusals, and what a later PUT may change. Sources beside those
that the kinds name: data_version_put_2026.json, data_container_get_2026.json, model_versions_404_2026.json; and the
recordings of azure-ai-ml's tests of 2026-03 (Azure/azure-sdk-assets, `dataset`, `model`, `component`).
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from aiohttp import web
from pydantic import BaseModel

from zenml_azureml.emulator.context import CONTEXT, Context
from zenml_azureml.emulator.http.api_versions import ApiVersion
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
from zenml_azureml.emulator.state import PROVIDER, AssetContainer, AssetVersion, Workspace
from zenml_azureml.emulator.types import Json

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}")

#: Digits up to which a version counts as a number.
_LONGEST_NUMBER = 19


class AssetKind(ABC):
    """What is different about one kind of asset.

    Attributes:
        plural: Its name in paths, e.g. `models`.
        singular: Its name in messages.
        schema: Schema of `properties` of a version's PUT.
        mutable: Properties of a version that a later PUT may change.
        repeat_status: Status of a PUT of a version that exists.
        has_own_modifier: True if a new version names who has last modified it.
        default_version: Stands for the latest version in paths; empty if nothing does.
        notes_every_put: True if a PUT that changes nothing counts as a change.
    """

    plural: ClassVar[str]
    singular: ClassVar[str]
    schema: ClassVar[type[BaseModel]]
    mutable: ClassVar[frozenset[str]] = frozenset({"description", "tags", "properties", "isArchived"})
    repeat_status: ClassVar[int] = 200
    has_own_modifier: ClassVar[bool] = True
    default_version: ClassVar[str] = ""
    notes_every_put: ClassVar[bool] = False

    @abstractmethod
    def complete(self, sent: Json, workspace: Workspace, name: str, version: str) -> Json:
        """Return all properties of a version. May take long; may refuse.

        Args:
            sent: `properties` of the PUT's body.
            workspace: The workspace.
            name: Name of the asset.
            version: The version.
        """

    @abstractmethod
    def missing(self, name: str, version: str) -> ServiceError:
        """Return the refusal for an asset or a version that does not exist.

        Args:
            name: Name of the asset.
            version: The version; empty for the asset.
        """

    def shown(self, found: AssetVersion, container: AssetContainer, version: ApiVersion) -> Json:
        """Return the properties of a version as an api-version has them."""
        del container, version
        return found.properties

    def shown_container(self, container: AssetContainer, next_version: str, version: ApiVersion) -> Json:
        """Return the properties of an asset as an api-version has them."""
        del version
        latest = container.latest
        return {
            "description": container.description,
            "tags": container.tags,
            "properties": container.properties,
            "isArchived": container.is_archived,
            "latestVersion": latest and latest.version,
            "nextVersion": next_version,
        }

    def latest_version(self, latest: AssetVersion) -> str:
        """Return the latest version as the container names it."""
        return latest.version

    def curated(self) -> Sequence[AssetContainer]:
        """Return the assets that every workspace has."""
        return ()

    def fixed(self, properties: Json) -> Json:
        """Return what a later PUT of the same version may not change."""
        return {key: value for key, value in properties.items() if key not in self.mutable}

    def conflict(self, name: str, version: str) -> ServiceError:
        """Return the refusal of a PUT that changes what cannot change."""
        # Guess: the message. On this status the SDK tries the next version.
        return ServiceError(
            409,
            "UserError",
            f"{self.singular} {name} with version {version} already exists and cannot be changed. Use another version.",
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this kind."""
        container = f"{WORKSPACE}/{self.plural}/{{asset}}"
        version = f"{container}/versions/{{version}}"
        return [
            web.get(f"{WORKSPACE}/{self.plural}", self._list_containers),
            web.get(container, self._get_container),
            web.put(container, self._put_container),
            web.delete(container, self._delete_container),
            web.get(f"{container}/versions", self._list_versions),
            web.get(version, self._get_version),
            web.put(version, self._put_version),
            web.delete(version, self._delete_version),
        ]

    async def _put_version(self, request: web.Request) -> web.Response:
        workspace, context = workspace_of(request), request.app[CONTEXT]
        name, version = request.match_info["asset"], request.match_info["version"]
        self._check_names(name, version)
        sent = (await json_body(request)).get("properties") or {}
        checked(self.schema, sent)
        wanted = await asyncio.to_thread(self.complete, sent, workspace, name, version)
        is_new = version not in getattr(workspace.assets_of(self.plural).get(name), "versions", {})
        found = self.put(workspace, name, version, wanted, context.clock.now())
        headers = {}
        if is_new or self.repeat_status == 201:  # recorded: 200 and no `Location` for data that exists
            path = self.version_id(workspace, name, version)
            headers["Location"] = f"{context.base_url}{path}?{request.rel_url.raw_query_string}"
        status = 201 if is_new else self.repeat_status
        return aml_json(request, self._render(request, found, workspace), status=status, headers=headers)

    def put(self, workspace: Workspace, name: str, version: str, properties: Json, now: datetime) -> AssetVersion:
        """Create a version, or change what can be changed of it.

        Args:
            workspace: The workspace.
            name: Name of the asset.
            version: The version.
            properties: All properties of the version.
            now: The time.

        Raises:
            ServiceError: 409, if it exists and would change.
        """
        container = workspace.assets_of(self.plural).setdefault(name, AssetContainer(name, now))
        found = container.versions.get(version)
        if found is None:
            found = container.versions[version] = AssetVersion(name, version, properties, now, now)
        elif self.fixed(found.properties) != self.fixed(properties):
            raise self.conflict(name, version)
        elif self.notes_every_put or found.properties != properties:  # recorded: it counts for components alone
            found.properties, found.modified_at = properties, now
        return found

    async def _get_version(self, request: web.Request) -> web.Response:
        body = self._render(request, self._version_of(request), workspace_of(request))
        if self.default_version and request.match_info["version"] == self.default_version:
            body["id"] = f"{body['id'].rpartition('/versions/')[0]}/labels/default"  # recorded of a component
        return aml_json(request, body)

    async def _delete_version(self, request: web.Request) -> web.Response:
        """Delete a version at once (recorded: environment_version_delete_2025.json)."""
        found = self._version_of(request)
        workspace_of(request).assets_of(self.plural)[found.name].versions.pop(found.version)
        return aml_empty(request, status=200)

    async def _list_versions(self, request: web.Request) -> web.Response:
        """Newest first; with `$top` no `nextLink`, although there are more (recorded)."""
        workspace = workspace_of(request)
        is_shown = in_view(request.query.get("listViewType"))
        found = self.listed(workspace, request.match_info["asset"], request.query)
        newest_first = [one for one in found if is_shown(one.properties)]
        if "$top" in request.query:
            newest_first = newest_first[: _top(request.query["$top"])]
        return paged(request, newest_first, lambda one: self._render(request, one, workspace))

    def listed(self, workspace: Workspace, name: str, query: Mapping[str, str]) -> list[AssetVersion]:
        """Return the versions that a list has, the newest first, archived ones too.

        Args:
            workspace: The workspace.
            name: Name of the asset.
            query: The query of the request.

        Raises:
            ServiceError: 404, if there is no such asset.
        """
        del query
        container = workspace.assets_of(self.plural).get(name)
        if container is None:
            raise self.missing(name, "")
        return list(reversed(container.versions.values()))

    async def _get_container(self, request: web.Request) -> web.Response:
        return aml_json(request, self._render_container(request, self._container_of(request)))

    async def _put_container(self, request: web.Request) -> web.Response:
        """Change a container, for example archive it (recorded: environment_container_archive_2026.json)."""
        context, workspace = request.app[CONTEXT], workspace_of(request)
        name = request.match_info["asset"]
        self._check_names(name, "1")
        sent = (await json_body(request)).get("properties") or {}
        checked(ContainerSchema, sent)
        # Guess: a container without a version can be created.
        container = workspace.assets_of(self.plural).setdefault(name, AssetContainer(name, context.clock.now()))
        container.description = sent.get("description") or ""
        container.tags, container.properties = sent.get("tags") or {}, sent.get("properties") or {}
        container.is_archived = bool(sent.get("isArchived"))
        location = f"{context.base_url}{workspace.path}/{self.plural}/{name}?{request.rel_url.raw_query_string}"
        body = self._render_container(request, container)
        return aml_json(request, body, status=201, headers={"Location": location})

    async def _delete_container(self, request: web.Request) -> web.Response:
        """Delete an asset with all its versions. Guess: as a version is."""
        workspace, name = workspace_of(request), request.match_info["asset"]
        if workspace.assets_of(self.plural).pop(name, None) is None:
            raise self.missing(name, "")
        return aml_empty(request, status=200)

    async def _list_containers(self, request: web.Request) -> web.Response:
        """Newest first, and those that every workspace has at the end (recorded: environments_list_2026.json)."""
        is_shown = in_view(request.query.get("listViewType"))
        all_own = workspace_of(request).assets_of(self.plural).values()
        own = [one for one in all_own if is_shown({"isArchived": one.is_archived})]
        newest_first = sorted(own, key=lambda one: one.created_at, reverse=True)
        return paged(request, [*newest_first, *self.curated()], lambda one: self._render_container(request, one))

    def version_id(self, workspace: Workspace, name: str, version: str) -> str:
        """Return the ARM id of a version."""
        return f"{workspace.path}/{self.plural}/{name}/versions/{version}"

    def next_version(self, container: AssetContainer, now: datetime) -> str:
        """Return the number after the latest version; 1 after a word (recorded: environments_list_2026.json)."""
        latest = container.latest
        if latest is None or not self.has_next_number(container):
            return f"{now:%Y-%m-%d-%H-%M-%S-%f}0"  # recorded: seven digits
        version = self.latest_version(latest)
        return str(int(version) + 1) if version.isdecimal() and len(version) < _LONGEST_NUMBER else "1"

    def has_next_number(self, container: AssetContainer) -> bool:
        """True if the versions of an asset are counted; else the next one is the time."""
        del container
        return True

    def _version_of(self, request: web.Request) -> AssetVersion:
        name, version = request.match_info["asset"], request.match_info["version"]
        container = workspace_of(request).assets_of(self.plural).get(name)
        found = container.versions.get(version) if container else None
        if container is not None and self.default_version and version == self.default_version:
            found = container.latest
        if found is None:
            raise self.missing(name, version)
        return found

    def _container_of(self, request: web.Request) -> AssetContainer:
        name = request.match_info["asset"]
        curated = {container.name: container for container in self.curated()}
        found = workspace_of(request).assets_of(self.plural).get(name) or curated.get(name)
        if found is None:
            raise self.missing(name, "")
        return found

    def _check_names(self, name: str, version: str) -> None:
        if not _NAME.fullmatch(name) or not _NAME.fullmatch(version):
            # Guess: the message; the rule is that of the SDK's own check of environments.
            raise ServiceError(
                400,
                "UserError",
                f"The name '{name}' or the version '{version}' of the {self.singular.lower()} is invalid. Both must "
                "start with a letter or a digit, followed by at most 254 letters, digits, dots, hyphens or "
                "underscores.",
            )

    def _render(self, request: web.Request, found: AssetVersion, workspace: Workspace) -> Json:
        version = ApiVersion.parse(request.query["api-version"])
        container = workspace.assets_of(self.plural)[found.name]
        return {
            "id": self.version_id(workspace, found.name, found.version),
            "name": found.version,
            "type": f"{PROVIDER}/workspaces/{self.plural}/versions",
            "properties": self.shown(found, container, version),
            "systemData": self._system_data(request, found.created_at, found.modified_at),
        }

    def _render_container(self, request: web.Request, container: AssetContainer) -> Json:
        context, version = request.app[CONTEXT], ApiVersion.parse(request.query["api-version"])
        latest = container.latest
        modified = latest.modified_at if latest else container.created_at
        next_version = self.next_version(container, context.clock.now())
        return {
            "id": f"{workspace_of(request).path}/{self.plural}/{container.name}",
            "name": container.name,
            "type": f"{PROVIDER}/workspaces/{self.plural}",
            "properties": self.shown_container(container, next_version, version),
            "systemData": self._system_data(request, container.created_at, modified, is_container=True),
        }

    def _system_data(
        self, request: web.Request, created: datetime, modified: datetime, *, is_container: bool = False
    ) -> Json:
        context: Context = request.app[CONTEXT]
        has_modifier = self.has_own_modifier or (created != modified and not is_container)
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
