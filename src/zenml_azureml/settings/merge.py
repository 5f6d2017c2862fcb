"""Merges the settings of a step operator, a pipeline and a step. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zenml_azureml.settings.aliases import canonicalize
from zenml_azureml.settings.compute import AzureMLComputeMode
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.modes import IGNORED_BY_MODE, IGNORED_BY_TARGET_NAME


def merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> AzureMLStepOperatorSettings:
    """Merge a step's settings with those of its step operator.

    Settings of the operator that do not apply to the step's choice of compute are omitted without a warning, since the
    author of the step did not write them.

    Args:
        defaults: Settings in the step operator's configuration.
        own: Settings of the step. ZenML's compiler has added the defaults to them, so a value that is equal to its
            default counts as inherited.

    Returns:
        The settings in force.

    Raises:
        AzureMLSettingsError: If they contradict each other.
    """
    inherited = canonicalize(defaults)
    chosen = {name: value for name, value in canonicalize(own).items() if inherited.get(name) != value}
    if "mode" in chosen:
        meaningless = IGNORED_BY_MODE[AzureMLComputeMode(chosen["mode"])]
    elif "compute_target_name" in chosen:
        meaningless = IGNORED_BY_TARGET_NAME | {"mode", "instance_type"}
    else:
        meaningless = frozenset()
    kept = {name: value for name, value in inherited.items() if name not in meaningless}
    return AzureMLStepOperatorSettings(**{**kept, **chosen})
