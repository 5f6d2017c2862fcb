"""The distribution of this package that a step's image has to install."""

from __future__ import annotations

import json
import os
import shlex
from importlib.metadata import Distribution, distribution
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

DISTRIBUTION_NAME = "zenml-azureml"

#: Environment variable with another requirement for images to install, in pip's notation.
REQUIREMENT_VARIABLE = "ZENML_AZUREML_REQUIREMENT"


def image_requirements() -> set[str]:
    """Return the pip requirement of images, so that steps find this package there, at the version in use.

    Returns:
        One requirement; none for a development install, which no image build can fetch.
    """
    override = os.environ.get(REQUIREMENT_VARIABLE)
    if override:
        return {override}
    requirement = requirement_of(distribution(DISTRIBUTION_NAME))
    return {requirement} if requirement else set()


def image_apt_packages() -> list[str]:
    """Return the Debian packages that pip needs in an image for that: git, to fetch from version control.

    Returns:
        The packages; none if the user has set the requirement, and so takes care of its dependencies.
    """
    if os.environ.get(REQUIREMENT_VARIABLE):
        return []
    return ["git"] if any(" @ git+" in requirement for requirement in image_requirements()) else []


def origin_of(installed: Distribution) -> str:
    """Return the URL that a distribution was installed from; empty if it came from an index."""
    return str(_direct_url(installed).get("url", ""))


def requirement_of(installed: Distribution) -> str | None:
    """Return the requirement that installs the same distribution on another machine.

    Args:
        installed: An installed distribution.

    Returns:
        A requirement by version for a distribution from an index, by commit for one from version control, and by URL
        for a downloaded one (PEP 610). None if only this machine has it: a local folder, file or repository.
    """
    origin = _direct_url(installed)
    if not origin:
        return f"{DISTRIBUTION_NAME}=={installed.version}"
    url = str(origin["url"])
    if url.startswith("file:"):
        return None
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    fragment = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
    return f"{DISTRIBUTION_NAME} @ {url}{fragment}"


def pip_target() -> str:
    """Return the arguments with which `pip install` installs this package from where it was installed, for a shell."""
    installed = distribution(DISTRIBUTION_NAME)
    origin = _direct_url(installed)
    target = requirement_of(installed) or url2pathname(urlsplit(str(origin["url"])).path)
    option = "--editable " if origin.get("dir_info", {}).get("editable") else ""
    return f"{option}{shlex.quote(target)}"


def _direct_url(installed: Distribution) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
    return content
