"""The assets that a job's outputs become at its end."""

from __future__ import annotations

from datetime import datetime

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.jobs.data import MODELS, DataOutput, JobData
from zenml_azureml.emulator.resources import AssetVersion, Job
from zenml_azureml.emulator.services.aml.asset_paths import version_of
from zenml_azureml.emulator.services.aml.assets import AssetKind
from zenml_azureml.emulator.services.aml.data import Data
from zenml_azureml.emulator.services.aml.models import Models
from zenml_azureml.emulator.state import Workspace

_KINDS: dict[str, AssetKind] = {"data": Data(), "models": Models()}


def register_outputs(context: Context, workspace: Workspace, job: Job, data: JobData) -> None:
    """Register the outputs of a job that has succeeded: as assets of the names it asks for, else anonymously.

    The names of anonymous ones, `azureml_JOB_output_data_OUTPUT`, were recorded
    (history_batchGetResolvedUris.json).

    Args:
        context: The emulator.
        workspace: The job's workspace.
        job: The job.
        data: Its data.
    """
    for output in data.outputs:
        kind = "models" if output.kind in MODELS else "data"
        made = _register(context.clock.now(), workspace, job, output, kind)
        job.output_assets[output.name] = (kind, made.name, made.version)


def anonymous_name(job: Job, output: str) -> str:
    """Return the name of the asset that an output without a name becomes."""
    return f"azureml_{job.name}_output_data_{output}"


def _register(now: datetime, workspace: Workspace, job: Job, output: DataOutput, plural: str) -> AssetVersion:
    """Return the version of an output's path, which is created unless it exists."""
    kind = _KINDS[plural]
    name = output.asset_name or anonymous_name(job, output.name)
    version = output.asset_version if output.asset_name else "1"
    existing = version_of(workspace, plural, name, version) if version else None
    if existing is not None:
        return existing
    if version is None:
        container = workspace.assets_of(plural).get(name)
        version = "1" if container is None or container.latest is None else kind.next_version(container, now)
    # Guess: Azure notes the output in a property of the version.
    sent = {"properties": {"azureml.JobOutputName": output.name}, "isAnonymous": output.asset_name is None}
    uri = output.place.long_uri
    if plural == "data":
        sent |= {"dataUri": uri, "dataType": output.kind}
    else:
        sent |= {"modelUri": uri, "modelType": output.kind, "jobName": job.name}
    return kind.put(workspace, name, version, kind.complete(sent, workspace, name, version), now)
