"""Resubmission from a job's definition in Azure ML, so that any process can resubmit the step."""

from __future__ import annotations

import re
from typing import Any

from azure.ai.ml.entities import Job
from azure.core.exceptions import AzureError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.checkpoints import OUTPUT
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobOptions, JobSpec

#: Prefix of Azure ML's own tags of a job (recorded: job_get_completed.json).
_AZURES_TAG = "_aml_"

_ENVIRONMENT = re.compile(r"(?:.*/environments/|azureml:)?(?P<name>[^/:]+)(?:/versions/|:)(?P<version>[^/:]+)$")


def spec_from_job(connection: WorkspaceConnection, job_name: str, own_tag: str) -> JobSpec:
    """Rebuild the spec of a job, without the options that say where it runs. Two requests.

    It comes from Azure ML and not from this process's memory, so the next process can do it too.

    Args:
        connection: The workspace.
        job_name: The job.
        own_tag: Key of the tag that identifies the owner of the job.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses, or the job was not submitted by this package.
    """
    client = connection.one_try_client
    try:
        with connection.reading():
            job: Job = client.jobs.get(job_name)
            reference = _ENVIRONMENT.match(str(getattr(job, "environment", None) or ""))
            environment: Any = (
                client.environments.get(reference["name"], version=reference["version"]) if reference else None
            )
    except AzureError as error:
        raise to_azureml_error(f"read the definition of the job `{job_name}`", error, connection.address) from error
    image, command = getattr(environment, "image", None), getattr(job, "command", None)
    if not image or not command:
        raise AzureMLError(
            f"The job `{job_name}` cannot be resubmitted: Azure ML did not return its command and image.",
            hint="Run the pipeline again.",
        )
    output = (getattr(job, "outputs", None) or {}).get(OUTPUT)
    return JobSpec(
        name=job_name,
        display_name=str(job.display_name or ""),
        experiment=str(getattr(job, "experiment_name", None) or ""),
        image=str(image),
        command=str(command),
        environment_variables=dict(getattr(job, "environment_variables", None) or {}),
        tags={key: value for key, value in (job.tags or {}).items() if not key.startswith(_AZURES_TAG)},
        options=JobOptions(),
        checkpoints=str(output.path) if output is not None and output.path else None,
        own_tag=own_tag,
    )
