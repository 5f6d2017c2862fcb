"""Which credential a step operator uses, in this order: service connector, service principal, environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import UUID

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.logger import get_logger
from zenml.stack import StackComponent
from zenml.utils import secret_utils

from zenml_azureml.clouds import AZURE
from zenml_azureml.exceptions import AzureMLError

if TYPE_CHECKING:
    from zenml.service_connectors.service_connector import ServiceConnector

    from zenml_azureml.azure.auth.identity import ServicePrincipal
    from zenml_azureml.azure.auth.token_claims import SignedIn
    from zenml_azureml.azure.auth.types import AccessToken, TokenCredential
    from zenml_azureml.clouds import Cloud
    from zenml_azureml.plugin.config import AzureMLStepOperatorConfig

logger = get_logger(__name__)


class CredentialSource(Protocol):
    """What a credential needs to know of the step operator that it is for."""

    @property
    def config(self) -> AzureMLStepOperatorConfig:
        """Its configuration."""

    id: UUID
    name: str
    connector: UUID | None

    def get_connector(self) -> ServiceConnector | None:
        """Return its service connector, if it has one."""

    def connector_has_expired(self) -> bool:
        """Return True if the credentials of its service connector have expired."""


def credential_of(operator: CredentialSource, cloud: Cloud) -> OperatorCredential:
    """The credential of a step operator. Making it asks nobody.

    Args:
        operator: The step operator.
        cloud: The cloud that it is for.

    Returns:
        A credential that knows where it comes from, and how to look there again.

    Raises:
        AzureMLError: If the step operator has a service connector, and the cloud is not the public one.
    """
    if operator.connector:
        _check_connector_serves(cloud, operator.name)
        return _OfConnector(operator, cloud)
    principal = _principal_in(operator.config)
    return _OfPrincipal(operator, cloud, principal) if principal else _OfEnvironment(operator, cloud)


def _principal_in(config: AzureMLStepOperatorConfig) -> ServicePrincipal | None:
    from zenml_azureml.azure.auth.identity import ServicePrincipal

    tenant, client, secret = config.tenant_id, config.service_principal_id, config.service_principal_password
    return ServicePrincipal(tenant, client, secret) if tenant and client and secret else None


def _check_connector_serves(cloud: Cloud, operator_name: str) -> None:
    # Source: ZenML's Azure service connector, which knows the public cloud's addresses only.
    if cloud.name != AZURE.name:
        raise AzureMLError(
            f"The step operator `{operator_name}` has a service connector, and ZenML's Azure service connectors sign "
            f"in to the public cloud only, not to {cloud.name}.",
            hint=f"Disconnect it with `zenml step-operator disconnect {operator_name}`. Then give the step operator "
            "a service principal (its options `tenant_id`, `service_principal_id` and `service_principal_password`), "
            f"or log in to that cloud on this machine: `az cloud set --name {cloud.name}`, `az login`.",
        )


class OperatorCredential(ABC):
    """The credential of a step operator: tokens, and what `refreshing_credential.SourcedCredential` asks for.

    Not thread-safe: `RenewingCredential` asks it one thing at a time.

    Args:
        operator: The step operator, as it was configured when it was last looked at.
        cloud: The cloud that it is for.
    """

    def __init__(self, operator: CredentialSource, cloud: Cloud) -> None:
        self._operator = operator
        self._cloud = cloud
        self._credential: TokenCredential | None = None
        self._worked = False
        self._signed_in: SignedIn | None = None

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for these scopes.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: If there is none to be had.
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
        """Which credential it is, in the middle of a sentence."""

    @abstractmethod
    def advice(self) -> str:
        """What to do when it is refused, as sentences."""

    def again(self) -> OperatorCredential | None:
        """The credential of the step operator as it is configured on ZenML's server by now.

        Returns:
            The credential; None where the present one never worked and nothing is configured otherwise.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: If there is none any more.
        """
        from zenml_azureml.azure.auth.errors import SourceError

        try:
            fresh = credential_of(_as_configured_now(self._operator), self._cloud)
        except AzureMLError as error:
            raise SourceError(str(error)) from error
        if not self._worked and self._offers_the_same_as(fresh):
            return None
        fresh._signed_in = self._signed_in  # for telling who it was
        return fresh

    @abstractmethod
    def _make(self) -> TokenCredential: ...

    @abstractmethod
    def _offers_the_same_as(self, other: OperatorCredential) -> bool:
        """Whether another credential is sure to be refused if this one is."""

    def _has_expired(self) -> bool:
        return False


def _as_configured_now(operator: CredentialSource) -> CredentialSource:
    try:
        model = Client().get_stack_component(StackComponentType.STEP_OPERATOR, operator.id)
        return cast("CredentialSource", StackComponent.from_model(model))
    except Exception as error:  # noqa: BLE001 - what is known here must do, while ZenML's server is away
        # Its kind only: what ZenML says of a configuration may have a secret in it.
        logger.warning(
            "ZenML did not tell how the step operator `%s` is configured by now (%s). Its credential is renewed from "
            "what is known here.",
            operator.name,
            type(error).__name__,
        )
        return operator


class _OfConnector(OperatorCredential):
    """What its service connector gives, which is connected again when that has expired."""

    def describe(self) -> str:
        return f"the service connector `{self._name()}` of the step operator `{self._operator.name}`"

    def advice(self) -> str:
        name = self._name()
        return (
            f"See what is wrong with it: `zenml service-connector verify {name}`. Give it other credentials: `zenml "
            f"service-connector update {name} --interactive`. They are read again, also while a step waits."
        )

    def _make(self) -> TokenCredential:
        from zenml_azureml.azure.auth.errors import SourceError

        operator = self._operator
        try:
            connector = operator.get_connector()
            credential: TokenCredential | None = connector.connect() if connector else None
        except Exception as error:  # whatever ZenML or its connector raises, the user has to learn why
            raise SourceError(str(error)) from error
        if credential is None:
            advice = f"Connect one: `zenml step-operator connect {operator.name} --connector NAME`."
            raise SourceError("it is gone", advice)
        return credential

    def _has_expired(self) -> bool:
        return self._operator.connector_has_expired()

    def _offers_the_same_as(self, other: OperatorCredential) -> bool:
        return False  # whether it was updated is known when it is connected

    def _name(self) -> str:
        connector = self._operator.connector
        try:
            return Client().get_service_connector(str(connector)).name
        except Exception:  # noqa: BLE001 - an error is being told already
            return str(connector)


class _OfPrincipal(OperatorCredential):
    """The service principal in its configuration."""

    def __init__(self, operator: CredentialSource, cloud: Cloud, principal: ServicePrincipal) -> None:
        super().__init__(operator, cloud)
        self._principal = principal

    def describe(self) -> str:
        return (
            f"the service principal `{self._principal.client_id}` of tenant `{self._principal.tenant_id}` (in the "
            f"configuration of the step operator `{self._operator.name}`)"
        )

    def advice(self) -> str:
        return (
            f"Make a new secret for it (`az ad app credential reset --id {self._principal.client_id} --append`) and "
            f"store it: `{self._how_to_store()}`. It is read again from there, also while a step waits. If Azure does "
            "not know the principal, correct `service_principal_id` and `tenant_id` there."
        )

    def _make(self) -> TokenCredential:
        from zenml_azureml.azure.auth.identity import credential_for

        return credential_for(self._principal, self._cloud)

    def _offers_the_same_as(self, other: OperatorCredential) -> bool:
        return isinstance(other, _OfPrincipal) and other._principal == self._principal

    def _how_to_store(self) -> str:
        option = "service_principal_password"
        stored = self._operator.config.model_dump(include={option})[option]  # not what a reference stands for
        if secret_utils.is_secret_reference(stored):
            reference = secret_utils.parse_secret_reference(stored)
            return f"zenml secret update {reference.name} --{reference.key}=..."
        return f"zenml step-operator update {self._operator.name} --{option}=..."


class _OfEnvironment(OperatorCredential):
    """What the environment of this process offers."""

    def describe(self) -> str:
        last = self._signed_in
        return (
            f"what the environment offers (DefaultAzureCredential{f', last signed in as {last.who}' if last else ''})"
        )

    def advice(self) -> str:
        last = self._signed_in
        tenant = f" --tenant {last.tenant_id}" if last and last.tenant_id else ""
        log_in = f"log in (`az login{tenant}`), which counts at once, also while a step waits"
        connect = f"give the step operator a service connector: `zenml step-operator connect {self._operator.name} "
        connect += "--connector NAME`"
        variables = (
            "see to the environment of this process: the variables AZURE_CLIENT_ID, AZURE_TENANT_ID, "
            "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE, or the managed identity of its machine"
        )
        # What worked before comes first.
        ways = (variables, log_in, connect) if last and not last.is_user else (log_in, variables, connect)
        return f"{ways[0][0].upper()}{ways[0][1:]}; or {ways[1]}; or {ways[2]}."

    def _make(self) -> TokenCredential:
        from zenml_azureml.azure.auth.identity import credential_for

        return credential_for(None, self._cloud)

    def _offers_the_same_as(self, other: OperatorCredential) -> bool:
        return isinstance(other, _OfEnvironment)
