"""A service connector of ZenML that signs in to an emulator.

ZenML's own for Azure knows the addresses of the public cloud only. This one stands beside it in ZenML's registry and
database, gives the same kinds of credential, and expires in the same way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from azure.core.credentials import AccessToken
from azure.identity import ClientSecretCredential
from zenml.models import AuthenticationMethodModel, ResourceTypeModel, ServiceConnectorTypeModel
from zenml.service_connectors.service_connector import AuthenticationConfig, ServiceConnector
from zenml.utils.secret_utils import PlainSerializedSecretStr

CONNECTOR_TYPE = "azure-emulator"
RESOURCE_TYPE = "azure-generic"
SERVICE_PRINCIPAL = "service-principal"
ACCESS_TOKEN = "access-token"


class PrincipalConfig(AuthenticationConfig):
    """An application with a secret."""

    authority: str
    tenant_id: str
    client_id: str
    client_secret: PlainSerializedSecretStr


class TokenConfig(AuthenticationConfig):
    """A token that somebody has got."""

    token: PlainSerializedSecretStr


class StoredToken:
    """What ZenML's Azure connector gives for a stored token: that token, whatever it is asked for."""

    def __init__(self, token: str, expires_at: datetime) -> None:
        self._token = AccessToken(token, int(expires_at.timestamp()))

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return self._token


def _method(name: str, config: type[AuthenticationConfig]) -> AuthenticationMethodModel:
    return AuthenticationMethodModel(name=name, auth_method=name, config_class=config)


class EmulatorConnector(ServiceConnector):
    """Signs in to the emulator that its configuration names."""

    config: AuthenticationConfig

    @classmethod
    def _get_connector_type(cls) -> ServiceConnectorTypeModel:
        methods = [_method(SERVICE_PRINCIPAL, PrincipalConfig), _method(ACCESS_TOKEN, TokenConfig)]
        names = [method.auth_method for method in methods]
        resource = ResourceTypeModel(name="Azure", resource_type=RESOURCE_TYPE, auth_methods=names)
        return ServiceConnectorTypeModel(
            name="Emulator", connector_type=CONNECTOR_TYPE, auth_methods=methods, resource_types=[resource]
        )

    def _get_default_resource_id(self, resource_type: str) -> str:
        return resource_type

    def _connect_to_resource(self, **_kwargs: Any) -> Any:
        config = self.config
        if isinstance(config, TokenConfig):
            assert self.expires_at is not None
            return StoredToken(config.token.get_secret_value(), self.expires_at)
        assert isinstance(config, PrincipalConfig)
        return ClientSecretCredential(
            config.tenant_id,
            config.client_id,
            config.client_secret.get_secret_value(),
            authority=config.authority,
            disable_instance_discovery=True,
        )

    def _configure_local_client(self, **_kwargs: Any) -> None:
        raise NotImplementedError

    @classmethod
    def _auto_configure(
        cls, auth_method: str | None = None, resource_type: str | None = None, resource_id: str | None = None, **_: Any
    ) -> EmulatorConnector:
        raise NotImplementedError

    def _verify(self, resource_type: str | None = None, resource_id: str | None = None) -> list[str]:
        return [resource_id] if resource_id else []

    def _get_connector_client(self, resource_type: str, resource_id: str) -> ServiceConnector:
        return self
