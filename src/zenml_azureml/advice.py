"""What a pipeline asks for and will not get: told before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from zenml_azureml.distribution import REQUIREMENT_VARIABLE
from zenml_azureml.settings import step_settings

if TYPE_CHECKING:
    from zenml.config.build_configuration import BuildConfiguration
    from zenml.models import PipelineSnapshotBase


def package_missing_in_images(builds: Iterable[BuildConfiguration], requirements: set[str]) -> list[str]:
    """Whether images will be built without this package, which their steps then cannot load.

    Args:
        builds: What has to be built.
        requirements: What the step operator has installed in images.

    Returns:
        One warning, or none.
    """
    if requirements or all(build.settings.skip_build for build in builds):
        return []
    return [
        "zenml-azureml is a development install here, which no image build can fetch, so steps will not find it in "
        f"their images. Set the environment variable {REQUIREMENT_VARIABLE} to a requirement that pip can install "
        "there, e.g. `zenml-azureml @ git+https://...@COMMIT`."
    ]


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
