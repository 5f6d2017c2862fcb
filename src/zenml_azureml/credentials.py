"""Which credential a step operator uses, in this order: service connector, service principal, environment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from zenml_azureml.endpoint import AZURE
from zenml_azureml.failures import AzureMLError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

    from zenml_azureml.endpoint import Cloud
    from zenml_azureml.step_operator import AzureMLStepOperator


def credential_of(operator: AzureMLStepOperator, cloud: Cloud) -> TokenCredential:
    """The credential of a step operator.

    Args:
        operator: The step operator.
        cloud: The cloud that it is for.

    Returns:
        A credential that renews itself for as long as its source allows.

    Raises:
        AzureMLError: If the step operator has a service connector, and the cloud is not the public one.
    """
    from zenml_azureml.workspace.credentials import ServicePrincipal, credential_for

    if operator.connector:
        _check_connector_serves(cloud, operator.name)
        return _ConnectorCredential(operator)
    config = operator.config
    if config.tenant_id and config.service_principal_id and config.service_principal_password:
        return credential_for(
            ServicePrincipal(
                tenant_id=config.tenant_id,
                client_id=config.service_principal_id,
                client_secret=config.service_principal_password,
            ),
            cloud,
        )
    return credential_for(None, cloud)


def _check_connector_serves(cloud: Cloud, operator_name: str) -> None:
    # Source: ZenML's Azure service connector, which knows the public cloud's addresses only.
    if cloud.name != AZURE.name:
        raise AzureMLError(
            f"The step operator `{operator_name}` has a service connector, and ZenML's Azure service connectors sign "
            f"in to the public cloud only, not to {cloud.name}.",
            do_next=f"Disconnect it with `zenml step-operator disconnect {operator_name}`. Then give the step operator "
            "a service principal (its options `tenant_id`, `service_principal_id` and `service_principal_password`), "
            f"or log in to that cloud on this machine: `az cloud set --name {cloud.name}`, `az login`.",
        )


class _ConnectorCredential:
    """Tokens of a service connector, connected again when what it gave has expired.

    Thread-safe: reconnecting is guarded by a lock.
    """

    def __init__(self, operator: AzureMLStepOperator) -> None:
        self._operator = operator
        self._lock = threading.Lock()
        self._credential: TokenCredential | None = None

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for these scopes.

        Raises:
            AzureMLError: If the connector is gone or cannot sign in.
        """
        with self._lock:
            if self._credential is None or self._operator.connector_has_expired():
                self._credential = self._connect()
            credential = self._credential
        return credential.get_token(*scopes, **options)

    def _connect(self) -> TokenCredential:
        name = self._operator.name
        try:
            connector = self._operator.get_connector()
            credential: TokenCredential | None = connector.connect() if connector else None
        except Exception as error:  # whatever ZenML or its connector raises, the user has to learn why
            raise AzureMLError(
                f"The service connector of the step operator `{name}` cannot sign in: {error}",
                do_next="Look at what is wrong with it: `zenml service-connector verify NAME`.",
            ) from error
        if credential is None:
            raise AzureMLError(
                f"The service connector of the step operator `{name}` is gone.",
                do_next=f"Connect one: `zenml step-operator connect {name} --connector NAME`.",
            )
        return credential
