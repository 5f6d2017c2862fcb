"""A job's definition as Azure ML has it: what its step is submitted again from, by whatever process."""

from __future__ import annotations

import re
from typing import Any

from azure.ai.ml.entities import Job
from azure.core.exceptions import AzureError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import explain
from zenml_azureml.checkpoints import OUTPUT
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobOptions, JobSpec

#: Azure ML's own tags of a job begin so (recorded: job_get_completed.json).
_AZURES_TAG = "_aml_"

_ENVIRONMENT = re.compile(r"(?:.*/environments/|azureml:)?(?P<name>[^/:]+)(?:/versions/|:)(?P<version>[^/:]+)$")


def spec_from_job(connection: WorkspaceConnection, job_name: str, own_tag: str) -> JobSpec:
    """The request that a job was made from, but for the options that say where it runs. Two requests.

    The job tells it, rather than what its process remembers: so the next process has it too.

    Args:
        connection: The workspace.
        job_name: The job.
        own_tag: Key of the tag that tells whose job it is.

    Raises:
        AzureMLError: If Azure ML cannot be reached or refuses, or the job is none of this package's.
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
        raise explain(f"reading the definition of the job `{job_name}`", error, connection.address) from error
    image, command = getattr(environment, "image", None), getattr(job, "command", None)
    if not image or not command:
        raise AzureMLError(
            f"The job `{job_name}` cannot be submitted again: Azure ML does not tell its command and image.",
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
