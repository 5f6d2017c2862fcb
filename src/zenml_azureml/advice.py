"""What a pipeline asks for and will not get: told before anything starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zenml_azureml.settings import step_settings

if TYPE_CHECKING:
    from zenml.models import PipelineSnapshotBase


def steps_without_operator(snapshot: PipelineSnapshotBase, operator_name: str) -> list[str]:
    """The steps that have settings for a step operator but will not run on any.

    ZenML runs such a step in the orchestrator and says nothing.

    Args:
        snapshot: The compiled pipeline.
        operator_name: The step operator.

    Returns:
        A warning for each.
    """
    return [
        f"The step `{name}` has Azure ML settings but no `step_operator`, so it runs in the orchestrator, not on Azure "
        f'ML. To run it there, write `@step(step_operator="{operator_name}", settings=...)`.'
        for name, step in snapshot.step_configurations.items()
        if not step.config.step_operator and step_settings(step.config.settings, operator_name)
    ]
