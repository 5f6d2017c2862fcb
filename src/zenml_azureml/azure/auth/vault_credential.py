"""A credential that has tokens for the key vaults of one cloud, and for nothing else."""

from __future__ import annotations

from typing import Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from zenml_azureml.azure.auth.refreshing_credential import RenewingCredential
from zenml_azureml.clouds import Cloud


class VaultCredential:
    """Requests tokens for key vaults, whatever a vault or its client asks for.

    The client of a vault takes scope and tenant from the vault's challenge. With its check of challenges off, which
    knows Microsoft's own hosts only, any address could request a token for Resource Manager.

    Args:
        credential: The credential of the workspace.
        cloud: Its cloud.
    """

    def __init__(self, credential: RenewingCredential, cloud: Cloud) -> None:
        self._credential = credential
        self._scope = vault_scope(cloud)

    def get_token(self, *scopes: str, claims: str | None = None, **_options: Any) -> AccessToken:
        """Return a token for key vaults.

        Args:
            scopes: The scope of the cloud's key vaults.
            claims: Further claims that the token must have.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: If the scope is another one. No request was sent.
        """
        if scopes != (self._scope,):
            raise ClientAuthenticationError(
                f"A key vault requested a token for {', '.join(scopes) or 'nothing'}; it gets tokens for {self._scope} "
                "only."
            )
        return self._credential.get_token(self._scope, claims=claims)


def vault_scope(cloud: Cloud) -> str:
    """Return the scope of tokens for the key vaults of a cloud."""
    return f"{cloud.vault}/.default"
