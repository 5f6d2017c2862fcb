"""Settings of a stack, a pipeline and a step, laid one over the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zenml_azureml.settings.aliases import canonicalize
from zenml_azureml.settings.models import AzureMLComputeMode, AzureMLStepOperatorSettings
from zenml_azureml.settings.modes import IGNORED_BY_MODE, IGNORED_BY_TARGET_NAME


def merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> AzureMLStepOperatorSettings:
    """A step's settings on top of those of its step operator.

    What the step operator's configuration sets and the step's own choice of compute makes meaningless is left
    out in silence: the user of the step did not write it.

    Args:
        defaults: What the step operator's configuration sets.
        own: What the step sets. ZenML's compiler has put the defaults among it, so a value that is equal to its
            default counts as inherited.

    Returns:
        The settings in force.

    Raises:
        AzureMLSettingsError: If together they make no sense.
    """
    inherited = canonicalize(defaults)
    chosen = {name: value for name, value in canonicalize(own).items() if inherited.get(name) != value}
    if "mode" in chosen:
        meaningless = IGNORED_BY_MODE[AzureMLComputeMode(chosen["mode"])]
    elif "compute_target_name" in chosen:
        meaningless = IGNORED_BY_TARGET_NAME | {"mode"}
    else:
        meaningless = frozenset()
    kept = {name: value for name, value in inherited.items() if name not in meaningless}
    return AzureMLStepOperatorSettings(**{**kept, **chosen})
