"""Checks of a job before it is accepted."""

from __future__ import annotations

import re

from pydantic import ValidationError

from zenml_azureml.emulator.http.bounds import MOST_PROCESSES
from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.jobs.definition import compute_name, environment_of, timeout_of
from zenml_azureml.emulator.jobs.processes import process_count
from zenml_azureml.emulator.services.aml import serverless
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

#: Recorded: job_put_virtual_cluster_missing_400.json.
_NO_VIRTUAL_CLUSTER = (
    "The virtual cluster does not exist. Please ensure that you submitted a job to a virtual cluster which exists in "
    "the same cloud. A virtualcluster created in one Cloud cannot be used to submit jobs to another cloud."
)

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")
_EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
_REGISTRY_ID = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/environments/(?P<name>[^/]+)/(?:versions|labels)/(?P<version>[^/]+)$",
    re.IGNORECASE,
)
#: Registries of Microsoft's, which all workspaces can use. No others exist here.
_REGISTRIES = frozenset({"azureml", "azureml-meta", "azureml-msr", "huggingface", "nvidia-ai"})


def check_name(name: str) -> None:
    """Refuse a name that no job can have."""
    if not _NAME.fullmatch(name):
        # Guess: the rule is documented, the message is not.
        raise user_error(
            f"The job name '{name}' is invalid. It must start with a letter or a digit, followed by at "
            "most 254 letters, digits, hyphens or underscores."
        )


def check_command(sent: Json, workspace: Workspace) -> None:
    """Refuse a command job for what the service refuses at once; all else is found out when the job runs."""
    if sent.get("jobType") is None:
        # Guess: there is no recording of this message.
        raise user_error("The field jobType is required.")
    if not _EXPERIMENT.fullmatch(sent.get("experimentName") or "Default"):
        # Quoted, with the status (dotnet/machinelearning-modelbuilder#1773, microsoft/dstoolkit-mlops-v2#180).
        raise user_error(
            "Experiment name must be 1-256 characters, start with a letter or a number, and can only contain letters, "
            "numbers, underscores, and dashes."
        )
    for key in ("command", "environmentId"):
        if not sent.get(key):
            # Guess: there is no recording of this message.
            raise user_error(f"The field {key} is required.")
    try:
        timeout_of(sent.get("limits"))
    except ValidationError as error:
        # Guess: as above.
        raise user_error("The field limits.timeout is not an ISO 8601 duration.") from error
    number = process_count(sent.get("distribution"), (sent.get("resources") or {}).get("instanceCount") or 1)
    if number > MOST_PROCESSES:
        raise user_error(
            f"The job asks for {number} processes. This emulator runs at most {MOST_PROCESSES} processes for one job."
        )
    _check_environment(sent["environmentId"], workspace)
    target = compute_name(sent.get("computeId"))
    if target is None:
        serverless.check_size(sent, workspace.location)
    elif workspace.find_compute(target) is None:
        if "/virtualclusters/" in sent["computeId"].lower():
            raise user_error(_NO_VIRTUAL_CLUSTER)
        # Recorded: job_put_unknown_compute_400_2023.json.
        inner = ["BadArgument", "UnknownTargetType"]
        raise ServiceError(400, "UserError", f"Unknown compute target '{target}'.", inner=inner)


def _check_environment(environment_id: str, workspace: Workspace) -> None:
    """Check that the version in a full id exists; short ids and those without a version are accepted unchanged.

    Recorded: job_put_serverless.json, job_put_minimal_fields.json.
    """
    found = environment_of(environment_id)
    registry = _REGISTRY_ID.match(environment_id)
    if registry is not None and registry["registry"].lower() not in _REGISTRIES:
        # Guess: also of a registry that does not exist; the message is quoted of one whose environment is not found
        # (Azure/azure-sdk-for-python#38594).
        raise _no_environment(registry["name"], registry["version"])
    if found is None or not environment_id.lower().startswith(workspace.path.lower()):
        return
    name, version = found
    # Microsoft's curated environments are in every workspace.
    if version is None or name.lower().startswith("azureml-"):
        return
    container = workspace.environments.get(name)
    if container is None or version not in container.versions:
        raise _no_environment(name, version)


def _no_environment(name: str, version: str) -> ServiceError:
    """Return the refusal of a job (quoted in Azure/azure-sdk-for-python#38594). Guess: the status is that of a GET."""
    message = f"No environment exists for name: {name}, version: {version}, label: "
    return ServiceError(404, "UserError", message, inner=["NotFoundError"])


def immutable(changed: list[str]) -> ServiceError:
    """Return the refusal (recorded: quoted_put_immutable.json has the message, job_reput_conflict.txt the codes)."""
    names = ",  ".join(changed)
    return ServiceError(
        400,
        "UserError",
        "A job with this name already exists. If you are trying to create a new job, use a different "
        "name. If you are trying to update an existing job, the existing job's "
        f"{names} cannot be changed. Only description, tags, displayName, properties, and isArchived "
        "can be updated.",
        inner=["Immutable", "JobPropertyImmutable"],
    )


def user_error(message: str) -> ServiceError:
    """Return a refusal of what a user has sent."""
    return ServiceError(400, "UserError", message)
