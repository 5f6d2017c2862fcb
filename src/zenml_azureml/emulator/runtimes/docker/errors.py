"""Azure ML's messages for jobs whose container cannot run: pure."""

from __future__ import annotations

import uuid

from zenml_azureml.emulator.jobs.exits import FailedError

#: Characters of the output of a build that are shown.
_LONGEST_OUTPUT = 2_000


def pull_failure(image: str, said: str) -> FailedError:
    """Return the failure if the registry or the Docker engine does not provide the image.

    Users have quoted the message, with the registry's in it: Azure/MachineLearningNotebooks#1733.

    Args:
        image: The image.
        said: Message of the Docker engine, with the registry's message.
    """
    return FailedError(
        "UserError",
        "AzureMLCompute job failed.\nFailedPullingImage: Unable to pull docker image\n"
        f"\timageName: {image}\n"
        f"\terror: Run docker command to pull public image failed with error: Error response from daemon: {said}\n.\n"
        f"\tReason: Error response from daemon: {said}",
    )


def build_failure(environment: str, said: str) -> FailedError:
    """Return the failure if the image of an environment cannot be built.

    Args:
        environment: Name and version of the environment.
        said: Output of the build, of which the last lines are shown.
    """
    last = "\n".join(line for line in said.splitlines() if line.strip())[-_LONGEST_OUTPUT:]
    # Guess: the code and the message.
    return FailedError("UserError", f"Image build failed for the environment {environment}.\n{last}")


def architecture_mismatch(job_name: str) -> FailedError:
    """Return the failure of an image for another architecture than the node's.

    A user has quoted the message: Azure/azure-sdk-for-python#34501.

    Args:
        job_name: The job.
    """
    container = f"{uuid.uuid5(uuid.NAMESPACE_URL, job_name).hex}-execution-wrapper-init"
    return FailedError(
        # Guess: the code is not documented.
        "ServiceError",
        f"Failed to execute command group with error Container `{container}` failed with status code `1` and it was "
        f"not possible to extract the structured error Container `{container}` exited with code 1 due to error None "
        "and we couldn't read the error due to GetErrorFromContainerFailed "
        '{ last_stderr: Some("exec /bin/sh: exec format error\\n") }.',
    )


def refused_container(said: str) -> FailedError:
    """Return the failure if the Docker engine does not start the container.

    A user has quoted the message: Azure/azure-sdk-for-python#34501.

    Args:
        said: Message of the Docker engine.
    """
    return FailedError(
        "ServiceError",
        "Failed to execute command group with error API queried with a bad parameter: " + f'{{"message":"{said}"}}',
    )
