"""The container registry of a refused pull, and the advice for one that is not Azure's. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from zenml_azureml.azure.failures.cause import Cause
from zenml_azureml.azure.failures.causes_before import IMAGE_PULL_FAILED, IMAGE_PULL_REFUSED

_DOCKER_HUB = "docker.io"
_OF_AZURE = (".azurecr.io", ".azurecr.cn", ".azurecr.us")

_HOST = r"((?:[a-z0-9-]+\.)+[a-z0-9-]+(?::\d+)?|localhost(?::\d+)?)"
_IMAGE = r"[a-z0-9][\w./:@-]*"

#: Where a message names the registry, or an image.
_REGISTRY = (
    re.compile(rf"https?://{_HOST}/v2/", re.IGNORECASE),
    re.compile(rf"container registry:? [`'\"]?{_HOST}", re.IGNORECASE),
    re.compile(rf"(?:imageName:|docker image|image|access denied for|pull)\s+[`'\"]?{_HOST}/", re.IGNORECASE),
)
_NO_HOST = re.compile(rf"(?:imageName:|docker image|access denied for)\s+[`'\"]?({_IMAGE})", re.IGNORECASE)


def registry_in(message: str) -> str:
    """Return the host of the registry that a message about a pull names; empty if it names none."""
    for pattern in _REGISTRY:
        found = pattern.search(message)
        if found:
            host = found[1].lower()
            return _DOCKER_HUB if host.endswith((f".{_DOCKER_HUB}", ".docker.com")) else host
    return _DOCKER_HUB if _NO_HOST.search(message) else ""


def of_registry(cause: Cause, message: str) -> Cause:
    """Return the cause of a pull that failed, with the advice for its registry.

    Args:
        cause: The cause of any failure.
        message: Azure's message.
    """
    host = registry_in(message) if cause in (IMAGE_PULL_REFUSED, IMAGE_PULL_FAILED) else ""
    if not host or host.endswith(_OF_AZURE):
        return cause
    refused = cause is IMAGE_PULL_REFUSED
    return replace(
        cause,
        what=f"its image could not be pulled{f', because the registry `{host}` refused it' if refused else ''}",
        hint=f"`{host}` is no Azure container registry, so roles in Azure have no effect there. Check that the image "
        "exists. If it is private, add a connection of the category `ContainerRegistry` with a login for "
        f"`{host}` to the workspace (in Studio: *Connections*), or use an Azure container registry in the stack.",
        command=None,
    )
