"""A client for the secrets of a key vault, over the workspace's connection.

Microsoft's client would be one more dependency for three of its calls. It also requests the authentication scheme of
each vault first, which is known from the cloud. Source: Microsoft's API reference ("Set Secret", "Delete Secret",
"Get Secrets", "Vaults - Get").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.responses import pages_of
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

    def set(self, name: str, value: str, tags: Mapping[str, str], expires: datetime) -> None:
        """Write a secret.

        Args:
            name: Its name.
            value: Its value.
            tags: Its tags.
            expires: Its expiry attribute; the secret can still be read after that.
        """
        body = {
            "value": value,
            "contentType": "application/json",
            "tags": dict(tags),
            "attributes": {"enabled": True, "exp": int(expires.timestamp())},
        }
        self._ask("PUT", self.url_of(name), body)

    def get(self, url: str) -> list[str]:
        """Return the values of a secret and of its further parts.

        Args:
            url: Its address.
        """
        with self._connection.reading():
            first = self._ask("GET", url)
            rest = [self._ask("GET", part) for part in further_parts(url, first.get("tags") or {})]
            return [str(secret["value"]) for secret in (first, *rest)]

    def delete(self, url: str) -> bool:
        """Delete a secret and its further parts; the vault may keep it for a while as recoverable.

        Args:
            url: Its address.

        Returns:
            True if it existed.
        """
        try:
            with self._connection.reading():
                parts = further_parts(url, self._ask("DELETE", url).get("tags") or {})
        except ResourceNotFoundError:
            return False
        for part in parts:
            try:
                self._ask("DELETE", part)
            except ResourceNotFoundError:
                continue
        return True

    def items(self) -> Iterator[ListedSecret]:
        """Yield all secrets of the vault; one request per page of 25."""
        with self._connection.reading():
            for page in pages_of(self._page, f"{self.url}/secrets?maxresults=25"):
                yield from (_listed(item) for item in page)

    def _page(self, url: str) -> dict[str, Any]:
        if not url.startswith(f"{self.url}/"):
            raise AzureError(f"The next page of the secrets of the key vault {self.url} is at another address: {url}")
        return self._ask("GET", url)

    def url_of(self, name: str) -> str:
        """Return the address of a secret of that name."""
        return f"{self.url}/secrets/{name}"

    def _ask(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        if "api-version=" not in url:
            url += f"{'&' if '?' in url else '?'}api-version={API_VERSION}"
        return self._connection.ask_vault(method, url, body)


def _listed(item: Mapping[str, Any]) -> ListedSecret:
    created = (item.get("attributes") or {}).get("created")
    return ListedSecret(
        url=str(item.get("id")),
        tags=item.get("tags") or {},
        created=None if created is None else datetime.fromtimestamp(created, timezone.utc),
    )
