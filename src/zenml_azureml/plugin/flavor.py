"""The `azureml` step operator flavor, as ZenML stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zenml.logger import get_logger
from zenml.models import FlavorRequest, ServiceConnectorRequirements
from zenml.step_operators.base_step_operator import (
    BaseStepOperatorFlavor,
)

from zenml_azureml.plugin.config import AzureMLStepOperatorConfig
from zenml_azureml.plugin.constants import BUILT_IN_MODULE

if TYPE_CHECKING:
    from zenml_azureml.step_operator import AzureMLStepOperator

logger = get_logger(__name__)

FLAVOR_NAME = "azureml"

#: Resource type of the service connectors that fit (ZenML's Azure service connector).
CONNECTOR_RESOURCE_TYPE = "azure-generic"


class AzureMLStepOperatorFlavor(BaseStepOperatorFlavor):
    """The `azureml` step operator flavor, which replaces ZenML's own (see `init_hook.py`)."""

    @property
    def name(self) -> str:
        """The flavor's name."""
        return FLAVOR_NAME

    @property
    def display_name(self) -> str:
        """The name in the dashboard."""
        return "AzureML"

    @property
    def service_connector_requirements(self) -> ServiceConnectorRequirements:
        """The service connectors that fit."""
        return ServiceConnectorRequirements(resource_type=CONNECTOR_RESOURCE_TYPE)

    @property
    def logo_url(self) -> str:
        """The logo in the dashboard: ZenML's own for Azure ML."""
        return "https://public-flavor-logos.s3.eu-central-1.amazonaws.com/step_operator/azureml.png"

    @property
    def config_class(self) -> type[AzureMLStepOperatorConfig]:
        """The configuration model."""
        return AzureMLStepOperatorConfig

    @property
    def implementation_class(self) -> type[AzureMLStepOperator]:
        """The step operator."""
        from zenml_azureml.step_operator import AzureMLStepOperator

        return AzureMLStepOperator

    def to_model(self, integration: str | None = None, is_custom: bool = True) -> FlavorRequest:
        """Return the model that ZenML stores, with the path of the built-in flavor's class.

        With the path of this class, a stack would not load in environments without this package.
        """
        model = super().to_model(integration=integration, is_custom=is_custom)
        model.source = f"{BUILT_IN_MODULE}.{type(self).__name__}"
        return model
