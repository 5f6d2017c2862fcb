"""Checks of a pipeline before its run starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.plugin.requirements import DISTRIBUTION_NAME, REQUIREMENT_VARIABLE, origin_of
from zenml_azureml.settings.data import CACHE_VARIABLE, cache_text
from zenml_azureml.settings.models import step_settings

if TYPE_CHECKING:
    from zenml.config.build_configuration import BuildConfiguration
    from zenml.config.step_configurations import StepConfiguration
    from zenml.models import PipelineSnapshotBase

    from zenml_azureml.settings.models import AzureMLStepOperatorSettings
    from zenml_azureml.settings.of_steps import SettingsOfSteps

#: Flavor of the orchestrator that ends a step without a heartbeat. Read in ZenML 0.98.
_ENDS_WITHOUT_HEARTBEAT = "kubernetes"


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


def pipeline_warnings(
    snapshot: PipelineSnapshotBase, operator_name: str, settings: SettingsOfSteps, orchestrator: str
) -> list[str]:
    """Return warnings about what ZenML would do with the steps of a pipeline without a message.

    Args:
        snapshot: The compiled pipeline.
        operator_name: The step operator.
        settings: Its settings for steps.
        orchestrator: Flavor of the stack's orchestrator.

    Raises:
        AzureMLSettingsError: If a step's settings are invalid.
    """
    found = steps_without_operator(snapshot, operator_name, settings.defaults)
    found += cached_without_data(snapshot, operator_name, settings)
    if orchestrator != _ENDS_WITHOUT_HEARTBEAT or not getattr(
        snapshot.pipeline_configuration, "enable_heartbeat", None
    ):
        return found
    for name, step in snapshot.step_configurations.items():
        # Of ZenML itself: versions before it have no heartbeats.
        minutes = getattr(step.config, "heartbeat_healthy_threshold", None)
        if minutes and step.config.uses_step_operator(operator_name):
            found += heartbeat_warning(name, minutes, settings.of(step).queue_timeout_minutes)
    return found


def cached_without_data(snapshot: PipelineSnapshotBase, operator_name: str, settings: SettingsOfSteps) -> list[str]:
    """Return warnings about steps that ZenML may skip as cached although their data on Azure has changed.

    Args:
        snapshot: The compiled pipeline.
        operator_name: The step operator.
        settings: Its settings for steps.

    Returns:
        A warning for each step with data that is not part of its cache key.

    Raises:
        AzureMLSettingsError: If a step's settings are invalid.
    """
    warnings = []
    for name, step in snapshot.step_configurations.items():
        enabled = (step.config.enable_cache, snapshot.pipeline_configuration.enable_cache)
        if (
            not step.config.uses_step_operator(operator_name)
            or next((one for one in enabled if one is not None), True) is False
        ):
            continue
        own = settings.of(step)
        if own.inputs and step.config.environment.get(CACHE_VARIABLE) != cache_text(own.inputs, own.outputs):
            warnings.append(
                f"The step `{name}` has `inputs`, which are not part of ZenML's cache key: if the data on Azure "
                "changes, ZenML can still skip the step as cached. Pass `inputs` and `outputs` by "
                f"`{name}.with_options(**zenml_azureml.azureml_data(inputs=..., outputs=...))`, or set "
                "`enable_cache=False`."
            )
    return warnings


def hold_warning(step: str, config: StepConfiguration, settings: AzureMLStepOperatorSettings) -> str:
    """Return a warning if the job of a step is to be held open and never is; otherwise an empty text.

    Args:
        step: Name of the step.
        config: Its configuration.
        settings: Its settings.
    """
    if not settings.hold_on_failure_minutes or getattr(config, "command", None) is None:
        return ""
    return (
        f"Step `{step}`: `hold_on_failure_minutes` is ignored: it applies to the failure of a function, and a command "
        "step has none."
    )


def heartbeat_warning(step: str, threshold: float, queue_timeout: float | None) -> list[str]:
    """Return a warning if an orchestrator may end a step whose job is still queued; otherwise none.

    A step sends heartbeats when its job runs, and the orchestrator waits for the first one from the submission on.

    Args:
        step: Name of the step.
        threshold: Minutes that the orchestrator waits for a heartbeat.
        queue_timeout: Minutes that the job may be queued; None for no limit.
    """
    if queue_timeout is not None and queue_timeout < threshold:
        return []
    return [
        f"The step `{step}` has heartbeats, so ZenML's Kubernetes orchestrator ends it if its job is queued for more "
        f"than {threshold:g} minutes. Set `@pipeline(enable_heartbeat=False)`; or `queue_timeout_minutes` below "
        f"{threshold:g}, with `fallback` for another machine. The step's `heartbeat_healthy_threshold` is 60 at most."
    ]


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
