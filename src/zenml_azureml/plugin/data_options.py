"""`azureml_data`: a step's data on Azure, in its settings and in ZenML's cache key together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from zenml.client import Client
from zenml.constants import ENV_ZENML_STEP_OPERATOR

from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.settings.data import CACHE_VARIABLE, cache_text
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.specs.data import asset_reference

if TYPE_CHECKING:
    from zenml_azureml.step_operator import AzureMLStepOperator


def azureml_data(
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    step_operator: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Return options of a step with data on Azure, for `with_options` and `@step`.

    ZenML's cache does not compare settings. These options also put the data into an environment variable of the step,
    which is part of the cache key: with another version of a data asset the step runs again. A label is resolved by
    this call, with one request, so call it in the pipeline's function: then the settings have the version.

    Args:
        inputs: The setting `inputs`.
        outputs: The setting `outputs`.
        step_operator: Name of the step operator; by default the first one of the stack, for a step that names it.
        settings: Further settings of the step.

    Returns:
        The arguments `settings` and `environment`, and `step_operator` if it is named.

    Raises:
        AzureMLSettingsError: If a setting is invalid, or if a label is to be resolved without an Azure ML step operator
            in the active stack.
        AzureMLError: If the data asset of a label does not exist, or Azure cannot be reached.
    """
    given = {name: value for name, value in (("inputs", inputs), ("outputs", outputs)) if value is not None}
    own = AzureMLStepOperatorSettings(**settings, **given)
    pinned = _without_labels(own, step_operator)
    if pinned != (own.inputs or {}):
        own = AzureMLStepOperatorSettings(**settings, **{**given, "inputs": pinned})
    key = f"step_operator:{step_operator}" if step_operator else "step_operator"
    return {
        "settings": {key: own},
        "environment": {CACHE_VARIABLE: cache_text(own.inputs, own.outputs)},
        **({"step_operator": step_operator} if step_operator else {}),
    }


def _without_labels(settings: AzureMLStepOperatorSettings, step_operator: str | None) -> dict[str, Any]:
    """Return the inputs with a version for each label. In a job they stay, since it has its version already."""
    inputs = dict(settings.inputs or {})
    if ENV_ZENML_STEP_OPERATOR in os.environ:
        return inputs
    versions: dict[str, str] = {}
    for name, one in inputs.items():
        reference = asset_reference(one.path)
        if reference is None or reference.label is None:
            continue
        if one.path not in versions:
            workspace = _operator(step_operator).workspace(settings)
            asset = workspace.retrying(
                "look up the data of the step",
                lambda: workspace.data.asset(reference, f"inputs['{name}']"),  # noqa: B023 - called at once
                patience=timedelta(minutes=settings.max_unreachable_minutes),
            )
            versions[one.path] = f"azureml:{asset.name}:{asset.version}"
        inputs[name] = one.model_copy(update={"path": versions[one.path]})
    return inputs


def _operator(name: str | None) -> AzureMLStepOperator:
    from zenml_azureml.step_operator import AzureMLStepOperator

    stack = Client().active_stack
    found = stack.step_operators.get(name) if name else stack.step_operator
    if not isinstance(found, AzureMLStepOperator):
        which = f"named `{name}`" if name else "as its first step operator"
        raise AzureMLSettingsError(
            f"The stack `{stack.name}` has no Azure ML step operator {which}, to resolve a label of a data asset with.",
            hint="Activate a stack that has one, or write a version instead of the label: `azureml:images:3`.",
        )
    return found
