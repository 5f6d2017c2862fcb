"""What a pipeline asks for and will not get."""

from __future__ import annotations

from typing import Any

import pytest
from zenml.config import DockerSettings
from zenml.config.base_settings import BaseSettings
from zenml.config.build_configuration import BuildConfiguration
from zenml.config.pipeline_configurations import PipelineConfiguration
from zenml.config.source import Source, SourceType
from zenml.config.step_configurations import Step, StepConfiguration, StepSpec
from zenml.models import PipelineSnapshotBase

from zenml_azureml import AzureMLStepOperatorSettings, azureml_data
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.plugin.preflight import pipeline_warnings, refuse_images_without_package, steps_without_operator
from zenml_azureml.settings.of_steps import SettingsOfSteps

KEY = "step_operator:azure"


def compiled(*steps: Step, **of_pipeline: Any) -> PipelineSnapshotBase:
    """A pipeline as ZenML's compiler leaves it."""
    return PipelineSnapshotBase(
        run_name_template="run",
        pipeline_configuration=PipelineConfiguration(name="training", settings=settings(of_pipeline)),
        step_configurations={step.config.name: step for step in steps},
    )


def step(name: str, operator: str | None = None, **own: Any) -> Step:
    config = StepConfiguration(name=name, step_operator=operator, settings=settings(own))
    source = Source(module="steps", attribute=name, type=SourceType.USER)
    spec = StepSpec(source=source, upstream_steps=[], invocation_id=name)
    return Step(spec=spec, config=config, step_config_overrides=config)


def settings(values: dict[str, Any]) -> dict[str, BaseSettings]:
    return {KEY: AzureMLStepOperatorSettings(**values)} if values else {}


def test_a_step_with_settings_but_without_operator_is_named() -> None:
    snapshot = compiled(step("forgotten", shm_size="2g"), step("fine", "azure", shm_size="2g"), step("plain"))

    (warning,) = steps_without_operator(snapshot, "azure", {})

    assert "The step `forgotten` has Azure ML settings but no `step_operator`" in warning
    assert '@step(step_operator="azure", settings=...)' in warning


def test_settings_of_another_operator_are_none_of_its_business() -> None:
    assert steps_without_operator(compiled(step("forgotten", shm_size="2g")), "other", {}) == []


def test_what_the_operator_or_the_pipeline_sets_for_all_steps_is_no_wish_of_a_step() -> None:
    # ZenML's compiler has put both into the settings of every step.
    snapshot = compiled(step("plain", shm_size="2g", display_name="d"), display_name="d")

    assert steps_without_operator(snapshot, "azure", {"shm_size": "2g"}) == []


def test_a_step_that_differs_from_what_all_have_is_named() -> None:
    snapshot = compiled(step("forgotten", shm_size="4g"))

    assert len(steps_without_operator(snapshot, "azure", {"shm_size": "2g"})) == 1


def with_heartbeats(snapshot: PipelineSnapshotBase, *, enabled: bool | None = True, minutes: int = 30) -> Any:
    """The same pipeline, with heartbeats as its steps and itself have them."""
    configuration = snapshot.pipeline_configuration.model_copy(update={"enable_heartbeat": enabled})
    steps = {
        name: step.model_copy(
            update={"config": step.config.model_copy(update={"heartbeat_healthy_threshold": minutes})}
        )
        for name, step in snapshot.step_configurations.items()
    }
    return snapshot.model_copy(update={"pipeline_configuration": configuration, "step_configurations": steps})


def heartbeat_warnings(snapshot: PipelineSnapshotBase, orchestrator: str = "kubernetes", **defaults: Any) -> list[str]:
    return pipeline_warnings(snapshot, "azure", SettingsOfSteps("azure", defaults), orchestrator)


def test_a_step_whose_heartbeats_end_it_while_its_job_is_queued_is_named() -> None:
    # Limit and orchestrator: read in ZenML 0.98, `is_node_heartbeat_unhealthy` of its Kubernetes orchestrator.
    snapshot = with_heartbeats(compiled(step("remote", "azure"), step("plain")), minutes=45)

    (warning,) = heartbeat_warnings(snapshot)

    assert warning.startswith(
        "The step `remote` has heartbeats, so ZenML's Kubernetes orchestrator ends it if its job is "
    )
    assert "queued for more than 45 minutes. Set `@pipeline(enable_heartbeat=False)`" in warning
    assert "`queue_timeout_minutes` below 45" in warning


def test_a_step_that_heartbeats_cannot_end_while_it_is_queued_is_not() -> None:
    remote = with_heartbeats(compiled(step("remote", "azure")))

    assert heartbeat_warnings(remote, "local_docker") == []
    assert heartbeat_warnings(with_heartbeats(compiled(step("remote", "azure")), enabled=None)) == []
    assert heartbeat_warnings(with_heartbeats(compiled(step("remote", "azure")), enabled=False)) == []
    assert heartbeat_warnings(with_heartbeats(compiled(step("elsewhere", "other")))) == []
    assert heartbeat_warnings(remote, queue_timeout_minutes=29) == []
    assert len(heartbeat_warnings(remote, queue_timeout_minutes=30)) == 1
    own = with_heartbeats(compiled(step("remote", "azure", queue_timeout_minutes=10)))
    assert heartbeat_warnings(own, queue_timeout_minutes=60) == []


def data_warnings(*steps: Step, enable_cache: bool | None = None) -> list[str]:
    snapshot = compiled(*steps)
    configuration = snapshot.pipeline_configuration.model_copy(update={"enable_cache": enable_cache})
    changed = snapshot.model_copy(update={"pipeline_configuration": configuration})
    return pipeline_warnings(changed, "azure", SettingsOfSteps("azure", {}), "local")


def changed(step: Step, **values: Any) -> Step:
    return step.model_copy(update={"config": step.config.model_copy(update=values)})


INPUTS = {"train": "azureml:images:3"}


def test_a_cached_step_with_data_outside_of_its_cache_key_is_named_with_the_helper() -> None:
    reads = step("reads", "azure", inputs=INPUTS)
    other = azureml_data(inputs={"train": "azureml:images:4"})["environment"]

    for found in (data_warnings(reads), data_warnings(changed(reads, environment=other), enable_cache=True)):
        (warning,) = found
        assert warning.startswith("The step `reads` has `inputs`, which are not part of ZenML's cache key")
        assert "`reads.with_options(**zenml_azureml.azureml_data(inputs=..., outputs=...))`" in warning


def test_a_step_that_is_not_cached_or_has_its_data_in_its_cache_key_is_not() -> None:
    reads = step("reads", "azure", inputs=INPUTS)

    assert data_warnings(changed(reads, environment=azureml_data(inputs=INPUTS)["environment"])) == []
    assert data_warnings(changed(reads, enable_cache=False), enable_cache=True) == []
    assert data_warnings(reads, enable_cache=False) == []
    assert len(data_warnings(changed(reads, enable_cache=True), enable_cache=False)) == 1
    assert data_warnings(step("writes", "azure", outputs={"model": {}}), step("elsewhere", "b", inputs=INPUTS)) == []


def build(**docker: Any) -> BuildConfiguration:
    settings = DockerSettings(parent_image="ubuntu", **docker)
    return BuildConfiguration(key="azureml_step_operator", settings=settings, step_name="train")


def test_an_image_that_would_be_built_without_this_package_is_refused_in_one_line() -> None:
    with pytest.raises(AzureMLError) as refusal:
        refuse_images_without_package([build(skip_build=True), build()], set())

    said = str(refusal.value)
    assert "\n" not in said
    assert "step `train`" in said
    assert "ZENML_AZUREML_REQUIREMENT" in said
    assert "file://" in said  # this very development install


@pytest.mark.parametrize(
    ("docker", "requirements"),
    [
        ({"skip_build": True}, set()),
        ({"install_stack_requirements": False}, set()),
        ({}, {"zenml-azureml==1.0"}),
    ],
    ids=["nothing is built", "nothing is installed for the stack", "built with the package"],
)
def test_other_images_are_not(docker: dict[str, Any], requirements: set[str]) -> None:
    refuse_images_without_package([build(**docker)], requirements)
