"""Names that ZenML gives: of the built-in flavor that this package replaces."""

from __future__ import annotations

BUILT_IN_MODULE = "zenml.integrations.azure.flavors.azureml_step_operator_flavor"
