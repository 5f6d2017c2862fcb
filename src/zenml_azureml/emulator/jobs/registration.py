"""The assets that a job's outputs become at its end."""

from __future__ import annotations

from typing import Literal

from zenml_azureml.emulator.context import Context
from zenml_azureml.emulator.jobs.data import MODELS, JobData
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.asset_paths import register
from zenml_azureml.emulator.state import Workspace


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
        kind: Literal["data", "models"] = "models" if output.kind in MODELS else "data"
        made = register(
            context,
            workspace,
            kind,
            output.asset_name or anonymous_name(job, output.name),
            output.asset_version if output.asset_name else "1",
            uri=output.place.long_uri,
            asset_type=output.kind,
            job_name=job.name,
            output_name=output.name,
            is_anonymous=output.asset_name is None,
        )
        job.output_assets[output.name] = (kind, made.name, made.version)


def anonymous_name(job: Job, output: str) -> str:
    """Return the name of the asset that an output without a name becomes."""
    return f"azureml_{job.name}_output_data_{output}"
