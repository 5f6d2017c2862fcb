"""Conversion of a submitted job to what a runtime executes: pure but for the job's own folders."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import jwt

from zenml_azureml.emulator.jobs.build_context import build_context
from zenml_azureml.emulator.jobs.definition import compute_name, environment_of
from zenml_azureml.emulator.jobs.exits import FailedError
from zenml_azureml.emulator.jobs.log_files import retry_folder
from zenml_azureml.emulator.jobs.processes import JobProcess, in_folder, job_processes
from zenml_azureml.emulator.local.private_files import inside, shown
from zenml_azureml.emulator.runtimes.base import JobLaunch
from zenml_azureml.emulator.services.aml import kubernetes
from zenml_azureml.emulator.services.aml.asset_paths import AssetPathError, find_place
from zenml_azureml.emulator.services.aml.catalogue import VmSize, catalogue
from zenml_azureml.emulator.services.aml.datastore_uris import parse_uri
from zenml_azureml.emulator.services.entra.machine_identities import ENDPOINT, identities_of
from zenml_azureml.emulator.state import Job, Workspace

#: VM size of a serverless job that names none. Guess: it was not recorded.
_SERVERLESS_SIZE = "Standard_DS3_v2"

#: Longest life of a job, and so of its token: Microsoft's "Manage and increase quotas and limits".
_LONGEST_LIFE = timedelta(days=21)

_BINDING = re.compile(r"\$\{\{\s*(inputs|outputs)\.([\w.-]+)\s*\}\}")


def build_launch(job: Job, workspace: Workspace, base_url: str, ca_bundle: Path | None = None) -> JobLaunch:
    """Input of a runtime for a job.

    Args:
        job: The job; its folder exists.
        workspace: Its workspace.
        base_url: URL of the emulator.
        ca_bundle: Certificates by which the job trusts the emulator; None if the job does not need them.
    """
    mounts = mounted_outputs(job, workspace)
    values = _bound_values(job, mounts)
    resources = job.properties["resources"]
    return JobLaunch(
        name=job.name,
        command=substitute_bindings(job.properties["command"], values),
        image=_image(job, workspace),
        build=build_context(job, workspace, job.folder.parents[1]),
        environment={
            **azure_ml_variables(job, workspace, base_url),
            **_identity_variables(job, workspace, base_url),
            **({"SSL_CERT_FILE": str(ca_bundle), "REQUESTS_CA_BUNDLE": str(ca_bundle)} if ca_bundle else {}),
            **{f"AZURE_ML_OUTPUT_{name}": str(folder) for name, folder in mounts.items()},
            **(job.properties["environmentVariables"] or {}),
            **mlflow_variables(job, workspace, base_url),
        },
        folder=job.folder,
        node_count=resources["instanceCount"],
        processes=processes_of(job),
        memory_gb=_memory_gb(job, workspace),
        shm_size=resources["shmSize"],
        docker_args=resources["dockerArgs"],
        ca_bundle=ca_bundle,
        mounts=tuple(mounts.values()),
    )


def _memory_gb(job: Job, workspace: Workspace) -> float:
    compute = workspace.find_compute(compute_name(job.properties["computeId"]) or "")
    if compute is not None and compute.kind == "Kubernetes":
        return kubernetes.memory_gb(compute.inner, job.properties["resources"]["instanceType"])
    return vm_size_of(job, workspace).memory_gb


def vm_size_of(job: Job, workspace: Workspace) -> VmSize:
    """Return the VM size of a job; that of serverless compute if the catalogue does not have it.

    Args:
        job: The job.
        workspace: Its workspace.
    """
    name = compute_name(job.properties["computeId"])
    compute = workspace.find_compute(name) if name else None
    wanted = compute.inner.get("vmSize") if compute else job.properties["resources"]["instanceType"]
    known = catalogue()
    size = known.find(wanted or _SERVERLESS_SIZE) or known.find(_SERVERLESS_SIZE)
    assert size is not None  # noqa: S101 - the catalogue has it
    return size


def substitute_bindings(command: str, values: dict[tuple[str, str], str]) -> str:
    """Return the command with its `${{inputs.NAME}}` and `${{outputs.NAME}}` replaced; unknown ones stay."""
    return _BINDING.sub(
        lambda found: values.get((found[1], found[2]), found[0]),
        command,
    )


def azure_ml_variables(job: Job, workspace: Workspace, base_url: str) -> dict[str, str]:
    """Return the environment variables that Azure ML sets in every process of a command job.

    Names and meaning are those that public programs read in jobs: `azureml-assets` (AZUREML_ARM_*,
    AZUREML_RUN_ID), the Azure ML SDKs (AZUREML_WORKSPACE_ID, AZUREML_*_ENDPOINT), training scripts
    (AZUREML_CR_NODE_RANK, AZUREML_NODE_COUNT).
    """
    properties = job.properties
    experiment = properties["experimentName"]
    variables = {
        "AZUREML_RUN_ID": job.name,
        "AZUREML_ARM_SUBSCRIPTION": workspace.subscription_id,
        "AZUREML_ARM_RESOURCEGROUP": workspace.resource_group,
        "AZUREML_ARM_WORKSPACE_NAME": workspace.name,
        "AZUREML_ARM_PROJECT_NAME": experiment,
        "AZUREML_EXPERIMENT_ID": experiment_id(workspace, experiment),
        "AZUREML_RUN_TOKEN": run_token(job),
        "AZUREML_WORKSPACE_ID": workspace.workspace_id,
        "AZUREML_WORKSPACE_SCOPE": workspace.path,
        "AZUREML_EXPERIMENT_SCOPE": f"{workspace.path}/experiments/{experiment}",
        "AZUREML_SERVICE_ENDPOINT": base_url,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{base_url}/discovery",
        "AZUREML_NODE_COUNT": str(properties["resources"]["instanceCount"]),
        "AZ_BATCHAI_JOB_NAME": job.name,
    }
    target = compute_name(properties["computeId"])
    if target is not None:
        variables["AZUREML_CR_COMPUTE_CONTEXT"] = json.dumps({"cluster_name": target})
    return variables


def mlflow_variables(job: Job, workspace: Workspace, base_url: str) -> dict[str, str]:
    """Return the variables by which MLflow logs to the job's own run.

    Azure ML's runtime overwrites those of the job with them (reported in Azure/azure-sdk-for-python#38813, of the URI,
    the run and the experiment's id; Guess: of the other two as well). The URI leads to the service itself, here the
    emulator, which does not serve MLflow. Nothing here accepts the token, which is the run's own.
    """
    experiment = job.properties["experimentName"]
    return {
        "MLFLOW_TRACKING_URI": f"azureml://{urlsplit(base_url).netloc}/mlflow/v1.0{workspace.path}",
        "MLFLOW_RUN_ID": job.name,
        "MLFLOW_EXPERIMENT_ID": experiment_id(workspace, experiment),
        "MLFLOW_EXPERIMENT_NAME": experiment,
        # Guess: the two tokens are the same; azureml-mlflow uses either in the same way.
        "MLFLOW_TRACKING_TOKEN": run_token(job),
    }


def run_token(job: Job) -> str:
    """Return the token with which a job reports to its own run: a JWT, of which clients read when it expires."""
    # Guess: all other claims of a run's token. Nothing here accepts it.
    return jwt.encode({"runId": job.name, "exp": job.created_at + _LONGEST_LIFE}, job.machine_secret)


def experiment_id(workspace: Workspace, name: str) -> str:
    """Return the id of an experiment, made from its name."""
    return str(uuid.uuid5(uuid.UUID(workspace.workspace_id), f"experiments/{name}"))


def _identity_variables(job: Job, workspace: Workspace, base_url: str) -> dict[str, str]:
    """Return the variables with which a job gets tokens of its managed identity; none if it has no identity."""
    identities = identities_of(job, workspace, compute_name(job.properties["computeId"]))
    if not identities:
        return {}
    return {
        "MSI_ENDPOINT": f"{base_url}{ENDPOINT}",
        "MSI_SECRET": job.machine_secret,
        "DEFAULT_IDENTITY_CLIENT_ID": identities[0].client_id,
    }


def mounted_outputs(job: Job, workspace: Workspace) -> dict[str, Path]:
    """Return the outputs of a job that are folders of a datastore, mounted read-write: writes are visible at once.

    Jobs that name the same path share it, as on Azure ML. An output with the mode `Upload` stays in the job's own
    folder: nothing here reads it from the datastore.

    Args:
        job: The job.
        workspace: Its workspace.

    Returns:
        The folders by the names of the outputs; they exist.
    """
    mounts = {}
    for name, sent in job.properties["outputs"].items():
        is_mounted = sent["mode"] == "ReadWriteMount" and sent["jobOutputType"] == "uri_folder"
        if is_mounted and parse_uri(sent["uri"] or ""):
            with suppress(AssetPathError):
                place = find_place(job.folder.parents[1], workspace, sent["uri"])
                if place.path:
                    mounts[name] = _folder(place.file)
    return mounts


def _bound_values(job: Job, mounts: Mapping[str, Path]) -> dict[tuple[str, str], str]:
    """Return the value of each binding: a literal's value, or a folder of the job."""
    # Guess: real jobs see a mount of their data at a path of the service's choosing; here is no data,
    # and so inputs are empty folders.
    values: dict[tuple[str, str], str] = {}
    for name, sent in job.properties["inputs"].items():
        if sent["jobInputType"] == "literal":
            values["inputs", name] = str(sent["value"])
        else:
            values["inputs", name] = str(_own_folder(job, "inputs", name))
    for name in job.properties["outputs"]:
        values["outputs", name] = str(mounts.get(name) or _own_folder(job, "outputs", name))
    return values


def _own_folder(job: Job, kind: str, name: str) -> Path:
    """Create a folder of a job. Do not follow it if an earlier attempt has turned it into a link."""
    folder = inside(inside(job.folder, kind), name)
    if folder is None:
        raise FailedError("UserError", f"The name {shown(name)} in the job's {kind} is not the name of a folder.")
    return _folder(folder)


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise FailedError("UserError", f"The path of the folder {path.name} is a file.") from error
    return path


def processes_of(job: Job) -> tuple[JobProcess, ...]:
    """Return the processes that run a job's command in its current attempt."""
    processes = job_processes(job.properties["distribution"], job.properties["resources"]["instanceCount"])
    return processes if job.attempt == 1 else in_folder(processes, retry_folder(job.attempt - 1))


def _image(job: Job, workspace: Workspace) -> str | None:
    found = environment_of(job.properties["environmentId"])
    if found is None:
        return None
    name, version = found
    container = workspace.environments.get(name)
    versions = container.versions if container else {}
    if version is None:
        # Guess: the newest one, as for `@latest`.
        version = next(reversed(versions), None)
    if version not in versions:
        return None
    image: str | None = versions[version].properties.get("image")
    return image
