"""Conversion of a submitted job to what a runtime executes: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from zenml_azureml.emulator.jobs.build_context import build_context
from zenml_azureml.emulator.jobs.data import NO_DATA, JobData
from zenml_azureml.emulator.jobs.definition import compute_name, environment_of
from zenml_azureml.emulator.jobs.log_files import retry_folder
from zenml_azureml.emulator.jobs.processes import JobProcess, in_folder, job_processes
from zenml_azureml.emulator.jobs.variables import (
    JobProxy,
    azure_ml_variables,
    client_variables,
    identity_variables,
    mlflow_variables,
    proxy_variables,
)
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.runtimes.base import JobLaunch
from zenml_azureml.emulator.services.aml import kubernetes
from zenml_azureml.emulator.services.aml.catalogue import VmSize, catalogue
from zenml_azureml.emulator.state import Workspace

#: VM size of a serverless job that names none. Guess: it was not recorded.
_SERVERLESS_SIZE = "Standard_DS3_v2"

_BINDING = re.compile(r"\$\{\{\s*(inputs|outputs)\.([\w.-]+)\s*\}\}")


def build_launch(
    job: Job,
    workspace: Workspace,
    base_url: str,
    ca_bundle: Path | None = None,
    data: JobData = NO_DATA,
    *,
    proxy: JobProxy | None = None,
    cloud: str = "AzureCloud",
) -> JobLaunch:
    """Input of a runtime for a job.

    Args:
        job: The job; its folder exists.
        workspace: Its workspace.
        base_url: URL of the emulator.
        ca_bundle: Certificates by which the job trusts the emulator; None if the job does not need them.
        data: Its code, inputs and outputs.
        proxy: The emulator's proxy for Azure's public hosts; None if it has none.
        cloud: Name of the emulated cloud.
    """
    resources = job.properties["resources"]
    own = job.properties["environmentVariables"] or {}
    target = compute_name(job.properties["computeId"])
    return JobLaunch(
        name=job.name,
        command=substitute_bindings(job.properties["command"], data.values),
        image=_image(job, workspace),
        build=build_context(job, workspace, job.folder.parents[1]),
        environment={
            **azure_ml_variables(job, workspace, base_url, target, _size_on_azure(job, workspace)),
            **client_variables(job, base_url, cloud),
            **(proxy_variables(proxy, base_url, own) if proxy else {}),
            **identity_variables(job, workspace, base_url, target),
            **({"SSL_CERT_FILE": str(ca_bundle), "REQUESTS_CA_BUNDLE": str(ca_bundle)} if ca_bundle else {}),
            **(data.upper_variables if job.properties["parentJobName"] else {}),
            **data.variables,
            **own,
            **mlflow_variables(job, workspace, base_url),
        },
        folder=job.folder,
        node_count=resources["instanceCount"],
        processes=processes_of(job),
        memory_gb=_memory_gb(job, workspace),
        shm_size=resources["shmSize"],
        docker_args=resources["dockerArgs"],
        ca_bundle=ca_bundle,
        mounts=data.mounts,
        read_only=data.read_only,
    )


def _memory_gb(job: Job, workspace: Workspace) -> float:
    compute = workspace.find_compute(compute_name(job.properties["computeId"]) or "")
    if compute is not None and compute.kind == "Kubernetes":
        return kubernetes.memory_gb(compute.inner, job.properties["resources"]["instanceType"])
    return vm_size_of(job, workspace).memory_gb


def _size_on_azure(job: Job, workspace: Workspace) -> VmSize | None:
    compute = workspace.find_compute(compute_name(job.properties["computeId"]) or "")
    return None if compute is not None and compute.kind == "Kubernetes" else vm_size_of(job, workspace)


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


def substitute_bindings(command: str, values: Mapping[tuple[str, str], str]) -> str:
    """Return the command with its `${{inputs.NAME}}` and `${{outputs.NAME}}` replaced; unknown ones stay."""
    return _BINDING.sub(
        lambda found: values.get((found[1], found[2]), found[0]),
        command,
    )


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
