"""The build context of a job's environment."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from zenml_azureml.emulator.jobs.definition import environment_of
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.runtimes.base import BuildContext
from zenml_azureml.emulator.services.aml.asset_paths import find_place, version_of
from zenml_azureml.emulator.services.aml.places import AssetPathError
from zenml_azureml.emulator.state import Workspace

#: Source: Microsoft's description of the API, `BuildContext.dockerfilePath`.
_DOCKERFILE = "Dockerfile"


def build_context(job: Job, workspace: Workspace, state_folder: Path) -> BuildContext | None:
    """Return the build context of a job's environment; None if it has none, or if it is not here.

    Args:
        job: The job.
        workspace: Its workspace.
        state_folder: The emulator's state folder.
    """
    named = environment_of(job.properties["environmentId"])
    found = version_of(workspace, "environments", *named) if named else None
    sent = found.properties.get("build") if found else None
    if found is None or not sent or not sent.get("contextUri"):
        return None
    with suppress(AssetPathError):
        folder = find_place(state_folder, workspace, str(sent["contextUri"])).file
        if folder.is_dir():
            return BuildContext(f"{found.name}-{found.version}", folder, sent.get("dockerfilePath") or _DOCKERFILE)
    return None
