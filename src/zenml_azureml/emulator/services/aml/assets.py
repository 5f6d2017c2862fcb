"""Kinds of assets, which have versions: environments, data, models, code and components.

One mechanism serves all of them (`asset_routes.py`). What differs is in an `AssetKind`: its properties, its refusals,
and what a later PUT may change.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from zenml_azureml.emulator.http.api_versions import ApiVersion
from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

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

    def check_files(self, sent: Json, workspace: Workspace, state_folder: Path) -> None:
        """Refuse a version whose files do not exist, if the service does so.

        Args:
            sent: `properties` of the PUT's body.
            workspace: The workspace.
            state_folder: The emulator's state folder.

        Raises:
            ServiceError: If they do not exist.
        """
        del sent, workspace, state_folder

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
        """Return those assets that every workspace has and lists."""
        return ()

    def curated_asset(self, name: str) -> AssetContainer | None:
        """Return an asset that every workspace has, with its versions; None if there is none."""
        del name
        return None

    def asset_of(self, workspace: Workspace, name: str) -> AssetContainer | None:
        """Return an asset of a workspace, or one that every workspace has; None if there is none.

        Args:
            workspace: The workspace.
            name: Name of the asset.
        """
        return workspace.assets_of(self.plural).get(name) or self.curated_asset(name)

    def fixed(self, properties: Json) -> Json:
        """Return what a later PUT of the same version may not change."""
        return {key: value for key, value in properties.items() if key not in self.mutable}

    def reconciled(self, existing: Json, wanted: Json, workspace: Workspace, state_folder: Path) -> Json:
        """Return the properties of a PUT of a version that exists, without differences that are none.

        Args:
            existing: Properties of the version.
            wanted: All properties that the PUT asks for.
            workspace: The workspace.
            state_folder: The emulator's state folder.
        """
        del existing, workspace, state_folder
        return wanted

    def conflict(self, name: str, version: str) -> ServiceError:
        """Return the refusal of a PUT that changes what cannot change."""
        # Guess: the message. On this status the SDK tries the next version.
        return ServiceError(
            409,
            "UserError",
            f"{self.singular} {name} with version {version} already exists and cannot be changed. Use another version.",
        )

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
        container = self.asset_of(workspace, name)
        if container is None:
            raise self.missing(name, "")
        return list(reversed(container.versions.values()))

    def version_id(self, workspace: Workspace, name: str, version: str) -> str:
        """Return the ARM id of a version."""
        return f"{workspace.path}/{self.plural}/{name}/versions/{version}"

    def next_version(self, container: AssetContainer, now: datetime) -> str:
        """Return the number after the latest version; after a word (recorded: environments_list_2026.json) 1.

        Guess: the first number that is free, if there is a version 1 before the word.
        """
        latest = container.latest
        if latest is None or not self.has_next_number(container):
            return f"{now:%Y-%m-%d-%H-%M-%S-%f}0"  # recorded: seven digits
        version = self.latest_version(latest)
        start = int(version) if version.isdecimal() and len(version) < _LONGEST_NUMBER else 0
        return next(number for number in map(str, itertools.count(start + 1)) if number not in container.versions)

    def has_next_number(self, container: AssetContainer) -> bool:
        """True if the versions of an asset are counted; else the next one is the time."""
        del container
        return True
