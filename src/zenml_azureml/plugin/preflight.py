"""What a pipeline asks for and will not get: told before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.plugin.requirements import DISTRIBUTION_NAME, REQUIREMENT_VARIABLE, origin_of
from zenml_azureml.settings.models import step_settings

if TYPE_CHECKING:
    from zenml.config.build_configuration import BuildConfiguration
    from zenml.models import PipelineSnapshotBase


def refuse_images_without_package(builds: Iterable[BuildConfiguration], requirements: set[str]) -> None:
    """Make sure that no image is built without this package: its step could not load the step operator.

    Images that ZenML does not build, or in which it installs nothing for the stack, are whoever's they are.

    Args:
        builds: What has to be built.
        requirements: What the step operator has installed in images.

    Raises:
        AzureMLError: In one line, with what to write instead.
    """
    if requirements:
        return
    for build in builds:
        if build.settings.skip_build or not build.settings.install_stack_requirements:
            continue
        installed = distribution(DISTRIBUTION_NAME)
        raise AzureMLError(
            f"The image of step `{build.step_name}` would not contain {DISTRIBUTION_NAME}: it is installed here from "
            f"{origin_of(installed)}, where no image build can fetch it. Set the environment variable "
            f"{REQUIREMENT_VARIABLE} to what pip is to install, e.g. `{DISTRIBUTION_NAME}=={installed.version}` "
            f"or `{DISTRIBUTION_NAME} @ git+https://...@COMMIT`, or to `{DISTRIBUTION_NAME}` if the image has it."
        )


def steps_without_operator(
    snapshot: PipelineSnapshotBase, operator_name: str, defaults: Mapping[str, Any]
) -> list[str]:
    """The steps that have settings for a step operator but will not run on any.

    ZenML runs such a step in the orchestrator and says nothing.

    Args:
        snapshot: The compiled pipeline.
        operator_name: The step operator.
        defaults: What its configuration sets: ZenML's compiler puts that into the settings of every step, as it
            does with the settings of the pipeline. Neither is a wish of the step.

    Returns:
        A warning for each.
    """
    of_pipeline = step_settings(snapshot.pipeline_configuration.settings, operator_name)
    not_its_own = {**defaults, **of_pipeline}
    warnings = []
    for name, step in snapshot.step_configurations.items():
        settings = step_settings(step.config.settings, operator_name)
        own = {key for key, value in settings.items() if not_its_own.get(key) != value}
        if own and not step.config.step_operator:
            warnings.append(
                f"The step `{name}` has Azure ML settings but no `step_operator`, so it runs in the orchestrator, not "
                f'on Azure ML. To run it there, write `@step(step_operator="{operator_name}", settings=...)`.'
            )
    return warnings
