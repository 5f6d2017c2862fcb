"""The secrets of a workspace's jobs that are in key vaults: read for a further job, and deleted after the last one.

Thread-safe: the tables of secrets change by one entry at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, HttpResponseError

from zenml_azureml import tags
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.keyvault.access import find_vault
from zenml_azureml.azure.keyvault.client import ListedSecret, VaultSecrets
from zenml_azureml.azure.retry import is_transient, with_retries
from zenml_azureml.clock import Time
from zenml_azureml.contract.commands import unprepared
from zenml_azureml.contract.secret_chunks import variables_in
from zenml_azureml.contract.variables import VAULT_AUDIENCE, VAULT_SECRET
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.secrets.classification import certain_secrets, secret_names
from zenml_azureml.specs.job import JobSpec

logger = logging.getLogger(__name__)

#: Longest time for which a vault may be unreachable when a secret is deleted.
DELETE_PATIENCE = timedelta(seconds=20)

_LEFT_BEHIND = "`zenml-azureml jobs cancel --orphans` deletes leftover secrets once their step is over."


class StoredSecrets:
    """The secrets of a workspace's jobs in key vaults.

    Args:
        connection: The workspace.
        time: Source of time.
    """

    def __init__(self, connection: WorkspaceConnection, time: Time) -> None:
        self._connection = connection
        self._address = connection.address
        self._time = time
        self._vaults: set[str] = set()
        self._written: dict[str, str] = {}
        self._gone: dict[str, str] = {}

    def restored(self, request: JobSpec) -> JobSpec:
        """Return the spec of a job as it was before its secrets went to a vault, to resubmit its step.

        Args:
            request: The spec from the job's definition.

        Raises:
            AzureMLError: If its secrets cannot be read.
        """
        variables = dict(request.environment_variables)
        of_vault: dict[str, str] = {}
        url = variables.pop(VAULT_SECRET, "")
        variables.pop(VAULT_AUDIENCE, None)
        if url:
            vault, action = VaultSecrets(self._connection, url.partition("/secrets/")[0]), "read the job's secrets"
            try:
                if not self._is_vault(vault.url):
                    raise AzureMLError(f"The secret {url} was not read: it is not in a known key vault.")
                of_vault = variables_in(vault.get(url))
                variables.update(of_vault)
            except AzureError as error:
                raise to_azureml_error(action, error, self._address) from error
            except ValueError:
                raise AzureMLError(f"The secret {url} does not contain environment variables.") from None
        return replace(
            request,
            command=unprepared(request.command),
            environment_variables=variables,
            tags={key: value for key, value in request.tags.items() if key != tags.VAULT_SECRET},
            # A variable from a vault goes to a vault again, even if it does not look secret: it may be the value of a
            # ZenML secret.
            secret_names=secret_names(variables) | of_vault.keys(),
            certain_secret_names=certain_secrets(variables),
            secret_tags={key: request.tags[key] for key in tags.OF_SECRETS if key in request.tags},
        )

    def drop(self, job_name: str, further: Iterable[str] = (), *, in_background: bool = False) -> None:
        """Delete the secret of a job that has ended, if it has one. Never raises: a failure is logged.

        Args:
            job_name: The job.
            further: Addresses of its secrets that the caller knows of, because another process may have written them;
                empty texts are ignored.
            in_background: True to delete it on a thread of its own; the process waits for that thread before it exits.
        """
        found = {self._written.get(job_name, ""), *further} - {""} - self._gone.keys()
        try:
            # Set before the deletion, so that the next caller does not wait for it.
            self._gone.update(dict.fromkeys(found, job_name))
            if found and in_background:
                threading.Thread(target=self._drop_all, args=[found], name="zenml-azureml-secret-drop").start()
            else:
                self._drop_all(found)
        except BaseException:  # a signal: the code that ends the step calls this again
            for url in found:
                self._gone.pop(url, None)
            raise

    def forget(self, job_name: str) -> None:
        """Forget a job that is over, and whose secrets are deleted."""
        self._written.pop(job_name, None)
        for url in [url for url, job in list(self._gone.items()) if job == job_name]:
            self._gone.pop(url, None)

    def _drop_all(self, urls: Iterable[str]) -> None:
        for url in urls:
            self._drop(url)

    def _drop(self, url: str) -> None:
        try:
            # If a secret that was written is not found, try again: one answer may be wrong.
            if not self.delete(url):
                self.delete(url)
        except AzureMLError as error:
            logger.warning("%s", error)

    def delete(self, url: str) -> bool:
        """Delete a secret.

        Args:
            url: Its address.

        Returns:
            True if it existed.

        Raises:
            AzureMLError: If it cannot be deleted.
        """
        vault = VaultSecrets(self._connection, url.partition("/secrets/")[0])
        action = f"delete the secret {url}"
        try:
            if not with_retries(action, lambda: self._is_vault(vault.url), DELETE_PATIENCE, self._time):
                # The address may come from the tag of a job: no token is sent to unknown hosts.
                raise AzureMLError(f"The secret {url} was not deleted: it is not in a known key vault.")
            return with_retries(action, lambda: vault.delete(url), DELETE_PATIENCE, self._time)
        except ValueError as error:  # its tag, which others may have written
            raise AzureMLError(
                f"Only the first part of the secret {url} was deleted: {error}.",
                hint=f"Delete the secrets of that vault whose names begin with `{url.rpartition('/')[2]}-part`.",
            ) from error
        except AzureError as error:
            raise to_azureml_error(action, error, self._address, then=_LEFT_BEHIND) from error

    def left(self, key_vault: str | None) -> Iterator[ListedSecret]:
        """Yield the secrets of this workspace's jobs in a vault; none if the workspace's own vault may not be listed.

        Args:
            key_vault: Name, URL or ARM id of the vault; None for the workspace's own.

        Raises:
            AzureMLError: If Azure cannot be reached or refuses.
        """
        action = "find secrets in the key vault"
        try:
            with self._connection.reading():
                vault = find_vault(self._connection, key_vault)
            for secret in VaultSecrets(self._connection, vault.url).items():
                if secret.tags.get(tags.WORKSPACE, "").lower() == self._address.path.lower():
                    yield secret
        except AzureError as error:
            # A credential that may not list the secrets of the vault has not written any.
            if key_vault is not None or not is_refusal(error):
                raise to_azureml_error(action, error, self._address) from error

    def _is_vault(self, url: str) -> bool:
        """Return True if an address is that of an Azure key vault, or of a vault that was found before."""
        parts = urlsplit(url)
        if parts.scheme == "https" and str(parts.hostname).endswith(self._connection.cloud.vault_suffix):
            return True
        with self._connection.reading():
            return url in self._vaults or url == find_vault(self._connection, None).url


def is_refusal(error: AzureError) -> bool:
    """True if Azure refuses an operation for lack of a right."""
    return isinstance(error, HttpResponseError) and error.status_code in (401, 403) and not is_transient(error)
