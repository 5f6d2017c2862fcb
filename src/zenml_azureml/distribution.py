"""Which distribution of this package a step's image has to install."""

from __future__ import annotations

import json
import os
from importlib.metadata import Distribution, distribution

DISTRIBUTION_NAME = "zenml-azureml"

#: Environment variable that names what images install instead: a requirement in pip's notation.
REQUIREMENT_VARIABLE = "ZENML_AZUREML_REQUIREMENT"


def image_requirements() -> set[str]:
    """What pip has to install in an image so that the step finds this package there, at the version in use.

    Returns:
        One requirement; none for a development install, which no image build can fetch. The step then loads
        ZenML's built-in operator in the container, which does no harm but needs the Azure SDK.
    """
    override = os.environ.get(REQUIREMENT_VARIABLE)
    if override:
        return {override}
    requirement = requirement_of(distribution(DISTRIBUTION_NAME))
    return {requirement} if requirement else set()


def requirement_of(installed: Distribution) -> str | None:
    """The requirement that installs the same again elsewhere.

    Args:
        installed: An installed distribution.

    Returns:
        By version where it came from an index, by commit where it came from version control (PEP 610), None
        where it came from a local folder or file.
    """
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if not origin:
        return f"{DISTRIBUTION_NAME}=={installed.version}"
    vcs = origin.get("vcs_info")
    if vcs:
        return f"{DISTRIBUTION_NAME} @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"
    return None
