"""What roles allow, in Azure Resource Manager's words: pure. Imports no `azure.*`.

How wildcards match follows from Azure's own roles: AzureML Data Scientist may read a workspace by
`workspaces/*/read`, and has to be kept from changing it by `workspaces/write`. So `/*/` stands for `/` too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: What pulls an image from a container registry. Source: Microsoft's definition of the role AcrPull.
PULL = "Microsoft.ContainerRegistry/registries/pull/read"


@dataclass(frozen=True)
class Permission:
    """What one role allows.

    Attributes:
        actions: What it allows; `*` stands for anything.
        not_actions: What of that it does not allow.
        data_actions: What it allows to do with what is in a resource, such as the secrets of a key vault.
        not_data_actions: What of that it does not allow.
    """

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Permission:
        """The same from Resource Manager's JSON."""
        kinds = ("actions", "notActions", "dataActions", "notDataActions")
        return cls(*(tuple(body.get(kind) or ()) for kind in kinds))

    def allows(self, action: str) -> bool:
        """Whether it allows an action, e.g. `Microsoft.MachineLearningServices/workspaces/jobs/write`."""
        return _matches(self.actions, action) and not _matches(self.not_actions, action)

    def allows_data(self, action: str) -> bool:
        """The same of what is in a resource, e.g. `Microsoft.KeyVault/vaults/secrets/getSecret/action`."""
        return _matches(self.data_actions, action) and not _matches(self.not_data_actions, action)


def missing(permissions: Iterable[Permission], actions: Iterable[str]) -> list[str]:
    """The actions that none of the permissions allows: what one role takes away, another one may give.

    Args:
        permissions: What somebody's roles allow.
        actions: What is needed.
    """
    held = list(permissions)
    return [action for action in actions if not any(permission.allows(action) for permission in held)]


def _matches(patterns: Iterable[str], action: str) -> bool:
    return any(_expression(pattern).fullmatch(action) for pattern in patterns)


def _expression(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"/\*/", "/(?:.*/)?").replace(r"\*", ".*")
    return re.compile(escaped, re.IGNORECASE)
