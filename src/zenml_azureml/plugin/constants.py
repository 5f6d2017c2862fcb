"""Names of ZenML's built-in flavor, which this package replaces."""

from __future__ import annotations

BUILT_IN_MODULE = "zenml.integrations.azure.flavors.azureml_step_operator_flavor"
