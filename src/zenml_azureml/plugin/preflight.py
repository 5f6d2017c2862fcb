"""Checks of a pipeline before its run starts."""

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
    """Check that every image to build contains this package: without it, the step could not load the step operator.

    The check skips images that ZenML does not build, or in which it installs no requirements of the stack.

    Args:
        builds: The images to build.
        requirements: The step operator's requirements for images.

    Raises:
        AzureMLError: For the first image without this package, with the variable to set.
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
    """Return warnings about steps that have settings for a step operator but do not use one.

    ZenML runs such a step in the orchestrator without a warning.

    Args:
        snapshot: The compiled pipeline.
        operator_name: The step operator.
        defaults: Settings in its configuration. ZenML's compiler adds these and the pipeline's to the settings of every
            step, so they do not show that the step is meant for the operator.

    Returns:
        A warning for each step.
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
