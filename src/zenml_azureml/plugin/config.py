"""Configuration of an `azureml` step operator, as ZenML stores it."""

from __future__ import annotations

from typing import Any

from zenml.logger import get_logger
from zenml.step_operators.base_step_operator import (
    BaseStepOperatorConfig,
)
from zenml.utils.secret_utils import SecretField

from zenml_azureml.clouds import is_loopback, resource_manager_endpoint
from zenml_azureml.settings.aliases import ALIASES, canonicalize
from zenml_azureml.settings.compute import AzureMLComputeSettings

logger = get_logger(__name__)


class AzureMLStepOperatorConfig(BaseStepOperatorConfig, AzureMLComputeSettings):
    """Configuration of an `azureml` step operator: the workspace, and defaults for its steps' settings.

    ZenML stores only fields that the built-in flavor has too, since a server without this package validates them.
    Settings that the built-in flavor lacks are settings of steps.

    Attributes:
        subscription_id: Azure subscription of the workspace.
        resource_group: Resource group of the workspace.
        workspace_name: Name of the Azure ML workspace.
        tenant_id: Microsoft Entra tenant of the service principal.
        service_principal_id: Application (client) id of the service principal.
        service_principal_password: Its client secret.
    """

    subscription_id: str
    resource_group: str
    workspace_name: str

    tenant_id: str | None = SecretField(default=None)
    service_principal_id: str | None = SecretField(default=None)
    service_principal_password: str | None = SecretField(default=None, repr=False)

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        # ZenML refuses unknown keys when a component is registered or updated. A stored unknown key comes from a newer
        # ZenML, and the stack must still load.
        unknown = sorted(set(data) - set(cls.model_fields))
        if unknown:
            logger.warning(
                "The azureml step operator's configuration has keys that this version of zenml-azureml does not know "
                "and ignores: %s. Update zenml-azureml to use them.",
                ", ".join(f"`{key}`" for key in unknown),
            )
        known = {key: value for key, value in data.items() if key not in unknown}
        for alias, name in ALIASES.items():
            # Stored values have no alias, so this is an update: ZenML merges new values into the stored ones.
            if known.get(alias) is not None and known.get(name) not in (None, known[alias]):
                logger.warning("`%s=%s` replaces `%s=%s`.", alias, known[alias], name, known.pop(name))
        return canonicalize(known)

    @property
    def is_remote(self) -> bool:
        """True if jobs run on another machine, so that ZenML requires a server that they can reach."""
        return not is_loopback(resource_manager_endpoint())
