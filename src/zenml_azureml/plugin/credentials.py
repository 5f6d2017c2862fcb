"""The credential of a step operator, in this order: service connector, service principal, environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, cast

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.logger import get_logger
from zenml.stack import StackComponent
from zenml.utils import secret_utils

from zenml_azureml.azure.cli_hints import az_login, az_reset_secret
from zenml_azureml.clouds import AZURE
from zenml_azureml.exceptions import AzureMLError

if TYPE_CHECKING:
    from zenml_azureml.azure.auth.identity import ServicePrincipal
    from zenml_azureml.azure.auth.token_claims import SignedIn
    from zenml_azureml.azure.auth.types import AccessToken, TokenCredential
    from zenml_azureml.clouds import Cloud
    from zenml_azureml.plugin.config import AzureMLStepOperatorConfig

logger = get_logger(__name__)


def credential_of(operator: StackComponent, cloud: Cloud) -> OperatorCredential:
    """Return the credential of a step operator, without a request.

    Args:
        operator: The step operator.
        cloud: The cloud to sign in to.

    Returns:
        A credential that knows its source, and can read it again.

    Raises:
        AzureMLError: If the step operator has a service connector, and the cloud is not the public one.
    """
    if operator.connector:
        _check_connector_serves(cloud, operator.name)
        return _OfConnector(operator, cloud)
    principal = _principal_in(cast("AzureMLStepOperatorConfig", operator.config))
    return _OfPrincipal(operator, cloud, principal) if principal else _OfEnvironment(operator, cloud)


def _principal_in(config: AzureMLStepOperatorConfig) -> ServicePrincipal | None:
    from zenml_azureml.azure.auth.identity import ServicePrincipal

    tenant, client, secret = config.tenant_id, config.service_principal_id, config.service_principal_password
    return ServicePrincipal(tenant, client, secret) if tenant and client and secret else None


def _check_connector_serves(cloud: Cloud, operator_name: str) -> None:
    # Source: ZenML's Azure service connector, which has only the public cloud's addresses.
    if cloud.name != AZURE.name:
        raise AzureMLError(
            f"The step operator `{operator_name}` has a service connector, and ZenML's Azure service connectors sign "
            f"in to the public cloud only, not to {cloud.name}.",
            hint=f"Disconnect it with `zenml step-operator disconnect {operator_name}`. Then give the step operator "
            "a service principal (its options `tenant_id`, `service_principal_id` and `service_principal_password`), "
            f"or log in to that cloud on this machine:\n{az_login(cloud)}",
        )


class OperatorCredential(ABC):
    """The credential of a step operator, as a `refreshing_credential.SourcedCredential`.

    Not thread-safe: `RenewingCredential` calls it from one thread at a time.

    Args:
        operator: The step operator, with its configuration as it was last read.
        cloud: The cloud to sign in to.
    """

    def __init__(self, operator: StackComponent, cloud: Cloud) -> None:
        self._operator = operator
        self._cloud = cloud
        self._credential: TokenCredential | None = None
        self._worked = False
        self._signed_in: SignedIn | None = None

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token for these scopes.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: If the credential gets no token.
        """
        from zenml_azureml.azure.auth.token_claims import signed_in_as

        if self._credential is None or self._has_expired():
            self._credential = self._make()
        token = self._credential.get_token(*scopes, **options)
        self._worked = True
        self._signed_in = signed_in_as(token.token)
        return token

    @abstractmethod
    def describe(self) -> str:
        """Return a description of the credential for the middle of a sentence."""

    @abstractmethod
    def advice(self) -> str:
        """Return the next steps if Azure refuses the credential, as sentences."""

    def again(self) -> OperatorCredential | None:
        """Return the credential of the step operator by its current configuration on ZenML's server.

        Returns:
            The credential; None if the present one never worked and the configuration has not changed.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: If there is no credential any more.
        """
        from zenml_azureml.azure.auth.errors import SourceError

        try:
            fresh = credential_of(_as_configured_now(self._operator), self._cloud)
        except AzureMLError as error:
            raise SourceError(str(error)) from error
        if not self._worked and self._offers_the_same_as(fresh):
            return None
        fresh._signed_in = self._signed_in  # errors name the identity that was signed in last
        return fresh

    @abstractmethod
    def _make(self) -> TokenCredential: ...

    @abstractmethod
    def _offers_the_same_as(self, other: OperatorCredential) -> bool:
        """True if another credential is certain to be refused if this one is."""

    def _has_expired(self) -> bool:
        return False


def _as_configured_now(operator: StackComponent) -> StackComponent:
    try:
        model = Client().get_stack_component(StackComponentType.STEP_OPERATOR, operator.id)
        return StackComponent.from_model(model)
    except Exception as error:  # noqa: BLE001 - use the loaded configuration while ZenML's server is unavailable
        # Only the type of the error: ZenML's message about a configuration may contain a secret.
        logger.warning(
            "Could not reload the configuration of step operator `%s` (%s). Its credential is renewed from the "
            "configuration that was loaded before.",
            operator.name,
            type(error).__name__,
        )
        return operator


class _OfConnector(OperatorCredential):
    """The credential from its service connector, which is connected again after the credential has expired."""

    def describe(self) -> str:
        return f"the service connector `{self._name()}` of the step operator `{self._operator.name}`"

    def advice(self) -> str:
        name = self._name()
        return (
            f"Check it: `zenml service-connector verify {name}`. Update its credentials: `zenml service-connector "
            f"update {name} --interactive`. The operator reads them again, even while a step waits."
        )

    def _make(self) -> TokenCredential:
        from zenml_azureml.azure.auth.errors import SourceError

        operator = self._operator
        try:
            connector = operator.get_connector()
            credential: TokenCredential | None = connector.connect() if connector else None
        except Exception as error:  # ZenML and its connector raise errors of many kinds, and the user needs the reason
            raise SourceError(str(error)) from error
        if credential is None:
            advice = f"Connect one: `zenml step-operator connect {operator.name} --connector NAME`."
            raise SourceError("it no longer exists", advice)
        return credential

    def _has_expired(self) -> bool:
        return self._operator.connector_has_expired()

    def _offers_the_same_as(self, other: OperatorCredential) -> bool:
        return False  # only a new connection shows if the connector was updated

    def _name(self) -> str:
        connector = self._operator.connector
        try:
            return Client().get_service_connector(str(connector)).name
        except Exception:  # noqa: BLE001 - the caller is already reporting an error
            return str(connector)


class _OfPrincipal(OperatorCredential):
    """The service principal in its configuration."""

    def __init__(self, operator: StackComponent, cloud: Cloud, principal: ServicePrincipal) -> None:
        super().__init__(operator, cloud)
        self._principal = principal

    def describe(self) -> str:
        return (
            f"the service principal `{self._principal.client_id}` of tenant `{self._principal.tenant_id}` (in the "
            f"configuration of the step operator `{self._operator.name}`)"
        )

    def advice(self) -> str:
        return (
            f"Create a new secret for it (`{az_reset_secret(self._cloud, self._principal.client_id)}`) and "
            f"store it: `{self._how_to_store()}`. The operator reads it again, even while a step waits. If Azure does "
            "not know the principal, correct `service_principal_id` and `tenant_id` there."
        )

    def _make(self) -> TokenCredential:
        from zenml_azureml.azure.auth.identity import credential_for

        return credential_for(self._principal, self._cloud)

    def _offers_the_same_as(self, other: OperatorCredential) -> bool:
        return isinstance(other, _OfPrincipal) and other._principal == self._principal

    def _how_to_store(self) -> str:
        option = "service_principal_password"
        stored = self._operator.config.model_dump(include={option})[option]  # with a reference unresolved
        if secret_utils.is_secret_reference(stored):
            reference = secret_utils.parse_secret_reference(stored)
            return f"zenml secret update {reference.name} --{reference.key}=..."
        return f"zenml step-operator update {self._operator.name} --{option}=..."


class _OfEnvironment(OperatorCredential):
    """The credential from the environment of this process."""

    def describe(self) -> str:
        last = self._signed_in
        return (
            "the credentials of the environment "
            f"(DefaultAzureCredential{f', last signed in as {last.who}' if last else ''})"
        )

    def advice(self) -> str:
        last = self._signed_in
        command = az_login(self._cloud, last.tenant_id if last else "")
        log_in = f"log in (`{command}`), which takes effect at once, even while a step waits"
        connect = f"give the step operator a service connector: `zenml step-operator connect {self._operator.name} "
        connect += "--connector NAME`"
        variables = (
            "check the environment of this process: the variables AZURE_CLIENT_ID, AZURE_TENANT_ID, "
            "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE, or the managed identity of its machine"
        )
        # The way that worked before comes first.
        ways = (variables, log_in, connect) if last and not last.is_user else (log_in, variables, connect)
        return f"{ways[0][0].upper()}{ways[0][1:]}; or {ways[1]}; or {ways[2]}."

    def _make(self) -> TokenCredential:
        from zenml_azureml.azure.auth.identity import credential_for

        return credential_for(None, self._cloud)

    def _offers_the_same_as(self, other: OperatorCredential) -> bool:
        return isinstance(other, _OfEnvironment)
