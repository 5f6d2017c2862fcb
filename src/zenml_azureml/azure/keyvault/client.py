"""The secrets of a key vault: Microsoft's client for them, over the workspace's connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets import KeyVaultSecret, SecretClient, SecretProperties

from zenml_azureml.azure.auth.vault_credential import VaultCredential, vault_scope
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.hosts import ForeignHostError
from zenml_azureml.azure.responses import AnswerError, address_of
from zenml_azureml.contract.secret_chunks import API_VERSION, further_parts


@dataclass(frozen=True)
class ListedSecret:
    """A secret without its value.

    Attributes:
        url: Its address, without a version.
        tags: Its tags.
        created: Time at which it was written; None if the vault does not report it.
    """

    url: str
    tags: Mapping[str, str]
    created: datetime | None


class VaultSecrets:
    """The secrets of one key vault. Has no state; thread-safe, as the connection is.

    No method retries; all raise `azure.core.exceptions.AzureError` if the vault refuses or cannot be reached.

    Args:
        connection: The connection to use.
        url: The vault's address, without a slash at the end.
    """

    def __init__(self, connection: WorkspaceConnection, url: str) -> None:
        self._connection = connection
        self.url = url
        credential, scope = VaultCredential(connection.credential, connection.cloud), vault_scope(connection.cloud)
        self._client = SecretClient(
            url,
            credential,
            api_version=API_VERSION,
            verify_challenge_resource=False,  # it refuses custom endpoints; `VaultCredential` is stricter
            transport=connection.transport,
            # Not the client's own: these need no challenge, which would be one more request for each vault.
            policies=connection.policies.with_tokens(credential, scope, self._check),
        )

    def set(self, name: str, value: str, tags: Mapping[str, str], expires: datetime) -> None:
        """Write a secret.

        Args:
            name: Its name.
            value: Its value.
            tags: Its tags.
            expires: Its expiry attribute; the secret can still be read after that.
        """
        with self._connection.reading():
            self._client.set_secret(
                name, value, enabled=True, tags=dict(tags), content_type="application/json", expires_on=expires
            )

    def get(self, url: str) -> list[str]:
        """Return the values of a secret and of its further parts.

        Args:
            url: Its address.

        Raises:
            ValueError: If its tag names too many parts.
        """
        name = self._name_in(url)
        with self._connection.reading():
            first = self._client.get_secret(name)
            tags = dict(first.properties.tags or {})
        parts = further_parts(name, tags)  # not above: too large a number is no malformed answer, which a retry may fix
        with self._connection.reading():
            rest = [self._client.get_secret(part) for part in parts]
            return [_value_of(secret) for secret in (first, *rest)]

    def delete(self, url: str) -> bool:
        """Delete a secret and its further parts; the vault may keep it for a while as recoverable.

        Args:
            url: Its address.

        Returns:
            True if it existed.

        Raises:
            ValueError: If its tag names too many parts; then only the first is deleted.
        """
        name = self._name_in(url)
        try:
            with self._connection.reading():
                # Without a wait for the end of the deletion, which would cost further requests.
                deleted = self._client.begin_delete_secret(name).result()
                tags = dict(deleted.properties.tags or {})
        except ResourceNotFoundError:
            return False
        for part in further_parts(name, tags):
            try:
                self._client.begin_delete_secret(part)
            except ResourceNotFoundError:
                continue
        return True

    def items(self) -> Iterator[ListedSecret]:
        """Yield all secrets of the vault; one request per page of 25."""
        for item in self._connection.items(self._client.list_properties_of_secrets(max_page_size=25)):
            yield _listed(item)

    def _check(self, url: str) -> None:
        """Check the address of a request.

        Raises:
            azure.core.exceptions.AzureError: If a token for key vaults must not go there.
        """
        if not url.startswith(f"{self.url}/"):
            raise ForeignHostError(
                f"The next page of the secrets of the key vault {self.url} is at another address: {address_of(url)}"
            )
        self._connection.check_vault(url)

    def _name_in(self, url: str) -> str:
        return url.removeprefix(f"{self.url}/secrets/")

    def url_of(self, name: str) -> str:
        """Return the address of a secret of that name."""
        return f"{self.url}/secrets/{name}"


def _value_of(secret: KeyVaultSecret) -> str:
    if not isinstance(secret.value, str):  # the client passes on what it cannot convert
        raise AnswerError(f"The key vault answered with the secret {secret.id}, but without its value.")
    return secret.value


def _listed(item: SecretProperties) -> ListedSecret:
    tags: object = item.tags or {}
    created: object = item.created_on
    if not isinstance(tags, Mapping) or not (created is None or isinstance(created, datetime)):
        raise AnswerError(f"The key vault answered with something that cannot be read about the secret {item.id}.")
    return ListedSecret(url=str(item.id), tags=tags, created=created)
