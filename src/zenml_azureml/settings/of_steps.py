"""The settings of a step operator's steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zenml_azureml.settings.merge import merge
from zenml_azureml.settings.models import AzureMLStepOperatorSettings, step_settings
from zenml_azureml.settings.step_plan import StepPlan, plan_of


class SettingsOfSteps:
    """The settings of one operator's steps.

    Args:
        operator_name: Name of the step operator.
        defaults: Settings for all steps, from its configuration.

    Attributes:
        defaults: As above.
    """

    def __init__(self, operator_name: str, defaults: Mapping[str, Any]) -> None:
        self._operator_name = operator_name
        self.defaults = dict(defaults)

    def of(self, container: Any) -> AzureMLStepOperatorSettings:
        """Return the settings in force for a step or a step run of ZenML, with the defaults below its own ones.

        With ZenML's own merge, defaults of the step's settings override values of the configuration.

        Raises:
            AzureMLSettingsError: If the settings are invalid.
        """
        own = container.config if hasattr(container, "config") else container.pipeline_configuration
        return merge(self.defaults, step_settings(own.settings, self._operator_name))

    def plan(self, container: Any) -> StepPlan:
        """Return the same settings, resolved for all targets."""
        return plan_of(self.of(container))
