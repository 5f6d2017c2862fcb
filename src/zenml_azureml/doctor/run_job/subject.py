"""The step, or the step operator, that a job of the doctor imitates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zenml.client import Client
from zenml.config import DockerSettings, ResourceSettings

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.launcher import info_of
from zenml_azureml.job_admin.step_lookup import compile_pipeline, find_step_run, operator_for
from zenml_azureml.submission.job_builder import DOCKER_IMAGE_KEY

if TYPE_CHECKING:
    from zenml.config.step_configurations import StepConfiguration
    from zenml.models import StepRunResponse

    from zenml_azureml.settings.models import AzureMLStepOperatorSettings
    from zenml_azureml.step_operator import AzureMLStepOperator

#: Number of latest step runs among which one of the step operator is searched.
_LATEST = 50

_NAME_ONE = "Name an image: `--image REGISTRY/NAME:TAG`. Or run a pipeline once, so that ZenML builds one."


@dataclass(frozen=True)
class Subject:
    """What a job of the doctor imitates.

    Attributes:
        operator: The step operator.
        settings: The settings in force. May hold secrets, hence not in the `repr`.
        image: The image.
        step: Name of the step; empty for the step operator itself.
        docker: Docker settings.
        resources: Resource settings.
        environment: Environment variables in the configuration of the step.
    """

    operator: AzureMLStepOperator
    settings: AzureMLStepOperatorSettings = field(repr=False)
    image: str
    step: str = ""
    docker: DockerSettings = field(default_factory=DockerSettings, repr=False)
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    environment: dict[str, str] = field(default_factory=dict, repr=False)


def subject_of(operators: list[AzureMLStepOperator], step: str | None, image: str | None) -> Subject:
    """Return what a job imitates.

    Args:
        operators: The step operators to choose from, the default one first.
        step: `MODULE:PIPELINE.STEP`, the name of a step, the id of a step run, or the name of its job; None for the
            step operator itself.
        image: The image; None for the last one that ZenML has built.

    Raises:
        AzureMLError: If there is no such step, or no image is known.
    """
    if step is None:
        first = operators[0]
        return Subject(first, first.default_settings(), image or _latest_image(first))
    if ":" in step:
        snapshot, name = compile_pipeline(step, None)
        found = snapshot.step_configurations[name]
        operator = operator_for(found.config.step_operator, name, operators)
        return _of_step(operator, found, name, image or _image_of_code(found.config, name))
    step_run = find_step_run(step, None)
    operator = operator_for(step_run.config.step_operator, step_run.name, operators)
    return _of_step(operator, step_run, step_run.name, image or _image_of(step_run))


def _of_step(operator: AzureMLStepOperator, step: object, name: str, image: str) -> Subject:
    config: StepConfiguration = step.config  # type: ignore[attr-defined] # a step, or a step run
    return Subject(
        operator,
        operator.get_settings(step),
        image,
        name,
        config.docker_settings,
        config.resource_settings,
        {key: str(value) for key, value in config.environment.items()},
    )


def _image_of_code(config: StepConfiguration, name: str) -> str:
    docker = config.docker_settings
    if docker.skip_build and docker.parent_image:
        return docker.parent_image
    try:
        return _image_of(find_step_run(name, None))
    except AzureMLError as error:
        raise AzureMLError(f"No image of the step `{name}` is known: {error.summary}", hint=_NAME_ONE) from error


def _latest_image(operator: AzureMLStepOperator) -> str:
    latest = Client().list_run_steps(sort_by="desc:created", size=_LATEST, hydrate=True).items
    for step_run in latest:
        if step_run.config.step_operator in (operator.name, True):
            return _image_of(step_run)
    raise AzureMLError(
        f"None of the latest step runs has run on the step operator `{operator.name}`, so no image is known.",
        hint=_NAME_ONE,
    )


def _image_of(step_run: StepRunResponse) -> str:
    try:
        return info_of(step_run).get_image(DOCKER_IMAGE_KEY)
    except (RuntimeError, KeyError) as error:
        if isinstance(error, AzureMLError):
            raise
        raise AzureMLError(f"The image of the step `{step_run.name}` is unknown: {error}", hint=_NAME_ONE) from error
