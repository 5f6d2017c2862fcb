"""Permissions of roles, as Azure Resource Manager writes them: pure. Imports no `azure.*`.

Azure's own roles show how wildcards match. AzureML Data Scientist may read a workspace because of
`workspaces/*/read`, and needs a `notActions` entry `workspaces/write` so that it cannot change it. So `/*/` also
matches `/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: The action that pulls an image from a container registry. Source: Microsoft's definition of the role AcrPull.
PULL = "Microsoft.ContainerRegistry/registries/pull/read"

#: The action on data that writes to blob storage. Source: Microsoft's definition of Storage Blob Data Contributor.
WRITE_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"

#: The action on data that reads from blob storage. Source: Microsoft's definition of Storage Blob Data Reader.
READ_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"


@dataclass(frozen=True)
class Permission:
    """Permissions of one role.

    Attributes:
        actions: Actions that it allows; `*` stands for anything.
        not_actions: Exceptions from `actions`.
        data_actions: Actions that it allows on the data in a resource, such as the secrets of a key vault.
        not_data_actions: Exceptions from `data_actions`.
    """

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Permission:
        """Parse Resource Manager's JSON."""
        kinds = ("actions", "notActions", "dataActions", "notDataActions")
        return cls(*(tuple(body.get(kind) or ()) for kind in kinds))

    def allows(self, action: str) -> bool:
        """Return True if it allows an action, e.g. `Microsoft.MachineLearningServices/workspaces/jobs/write`."""
        return _matches(self.actions, action) and not _matches(self.not_actions, action)

    def allows_data(self, action: str) -> bool:
        """Return True if it allows an action on data, e.g. `Microsoft.KeyVault/vaults/secrets/getSecret/action`."""
        return _matches(self.data_actions, action) and not _matches(self.not_data_actions, action)


def missing(permissions: Iterable[Permission], actions: Iterable[str]) -> list[str]:
    """Return the actions that none of the permissions allows. An exception of one role does not restrict another role.

    Args:
        permissions: The permissions of a principal's roles.
        actions: The required actions.
    """
    held = list(permissions)
    return [action for action in actions if not any(permission.allows(action) for permission in held)]


# The emulator has the same expression of its own: it is what this is tested against, so the two share no code.
def _matches(patterns: Iterable[str], action: str) -> bool:
    return any(_expression(pattern).fullmatch(action) for pattern in patterns)


def _expression(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"/\*/", "/(?:.*/)?").replace(r"\*", ".*")
    return re.compile(escaped, re.IGNORECASE)
