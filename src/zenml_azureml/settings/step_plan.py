"""A step's settings, resolved once for all of its targets. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.plan import Resolution, number_of_targets, resolve, settings_of


@dataclass(frozen=True)
class Target:
    """The step's own settings, or those of a fallback.

    Attributes:
        settings: The settings in force.
        resolution: The compute and the job that they request.
    """

    settings: AzureMLStepOperatorSettings
    resolution: Resolution

    @property
    def queue_timeout(self) -> timedelta | None:
        """Time for which a job may be queued; None for no limit."""
        minutes = self.settings.queue_timeout_minutes
        return None if minutes is None else timedelta(minutes=minutes)


@dataclass(frozen=True)
class StepPlan:
    """Everything that a step's settings determine.

    Attributes:
        targets: The step's own settings, then its fallbacks.
    """

    targets: tuple[Target, ...]

    @property
    def settings(self) -> AzureMLStepOperatorSettings:
        """The step's own settings."""
        return self.targets[0].settings

    @property
    def unreachable_timeout(self) -> timedelta:
        """Time for which Azure and ZenML's server may be unavailable before the step fails."""
        return timedelta(minutes=self.settings.max_unreachable_minutes)

    @property
    def processes_per_node(self) -> int | None:
        """Number of processes that the job starts on each node; None without a distribution."""
        return self.targets[0].resolution.options.processes_per_node

    def warnings(self) -> Iterator[tuple[int, str]]:
        """Yield each warning about an ignored setting, after the number of its target."""
        for number, target in enumerate(self.targets):
            for warning in target.resolution.warnings:
                yield number, warning


def plan_of(settings: AzureMLStepOperatorSettings) -> StepPlan:
    """Resolve settings for all targets.

    Args:
        settings: The settings of a step, merged with those of its step operator.

    Raises:
        AzureMLSettingsError: If a fallback and the step's settings contradict each other.
    """
    of_targets = [settings_of(settings, target) for target in range(number_of_targets(settings))]
    return StepPlan(tuple(Target(each, resolve(each)) for each in of_targets))
