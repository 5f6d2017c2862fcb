"""Delivery of secrets to the jobs of a workspace: by a key vault, or in the job definition.

Thread-safe: one lock guards what is known of the vaults. It is held during the requests, so that a hundred steps send
them once. The tables of secrets change by one entry at a time.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from azure.core.exceptions import AzureError, ResourceExistsError

from zenml_azureml import tags
from zenml_azureml.azure.arm.client import ResourceManager
from zenml_azureml.azure.auth.token_claims import signed_in_as
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.keyvault.access import FoundVault, find_vault, may_read, reader_of
from zenml_azureml.azure.keyvault.client import VaultSecrets
from zenml_azureml.azure.keyvault.stored import StoredSecrets, is_refusal
from zenml_azureml.azure.retry import with_retries
from zenml_azureml.clock import Time
from zenml_azureml.contract.secret_chunks import PARTS_TAG, further_parts, parts_of
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.secrets.classification import without_secrets
from zenml_azureml.specs.job import JobIdentity, JobSpec

logger = logging.getLogger(__name__)

#: Longest time for which a vault may be unreachable before `auto` does without it.
SHORT_PATIENCE = timedelta(minutes=1)

#: Time until the expiry attribute of a secret. A job may wait and run for weeks, and a vault returns an expired secret
#: all the same: the attribute is for people and policies that find a secret that was left behind.
LIFETIME = timedelta(days=30)


_TAKES_EFFECT = "The change can take a few minutes to take effect."


@dataclass
class _Way:
    """The known state of delivery by a vault, for one kind of job.

    Attributes:
        vault: The vault.
        proven: True if a secret has been written there.
        refusal: The reason not to use it; None while it is in use.
    """

    vault: FoundVault | None = None
    proven: bool = False
    refusal: AzureMLError | None = None


@dataclass(frozen=True)
class _Task:
    """A job with secrets to deliver by a vault.

    Attributes:
        request: The job.
        target: The compute that it will run on.
        must: True if the vault is required.
        patience: Longest time for which Azure may be unreachable.
        check: Called before each retry; stops it by raising.
    """

    request: JobSpec
    target: ComputeTarget
    must: bool
    patience: timedelta
    check: Callable[[], None]


_Key = tuple[str | None, JobIdentity | None, str | None, bool]


class SecretDelivery(StoredSecrets):
    """Moves the secrets of jobs to a key vault if one can be used, and deletes them there when the jobs have ended.

    Args:
        connection: The workspace.
        time: Source of time.
    """

    def __init__(self, connection: WorkspaceConnection, time: Time) -> None:
        super().__init__(connection, time)
        self._manager = ResourceManager(connection)
        self._lock = threading.Lock()
        self._ways: dict[_Key, _Way] = {}
        self._warned = False

    def deliver(
        self, request: JobSpec, target: ComputeTarget, patience: timedelta, check: Callable[[], None]
    ) -> JobSpec:
        """Write the secrets of a job to a key vault if one can be used.

        Args:
            request: The job.
            target: The compute that it will run on.
            patience: Longest time for which Azure may be unreachable.
            check: Called before each retry; stops it by raising.

        Returns:
            The job without its secrets if they are in a vault; unchanged if they are not.

        Raises:
            AzureMLError: If a vault is required and cannot be used. It names the missing role.
        """
        options = request.options
        if options.secrets_via == "environment" or not request.secret_names:
            return request
        must = options.secrets_via == "key-vault"
        key = (target.name, options.identity, options.key_vault, must)
        way = self._ways.setdefault(key, _Way())
        task = _Task(request, target, must, patience, check)
        outcome = self._write(way, task) if way.proven else self._first(way, task)
        if isinstance(outcome, str):
            return without_secrets(request, outcome, self._connection.cloud.vault)
        way.refusal, way.proven = outcome, False
        if must:
            raise outcome
        self._warn(request, outcome)
        return request

    def _first(self, way: _Way, task: _Task) -> str | AzureMLError:
        """Do as `_write` if it is unknown yet whether that works. One thread finds out, the others wait for it."""
        with self._lock:
            if not way.proven:
                if way.refusal is not None and not task.must:
                    return way.refusal
                outcome = self._try(way, task)  # a missing role may have been assigned in the meantime
                way.refusal = None if isinstance(outcome, str) else outcome
                return outcome
        return self._write(way, task)

    def _try(self, way: _Way, task: _Task) -> str | AzureMLError:
        """Find the vault, and write the secrets to it if the job can read them there."""
        if not task.must:
            task = replace(task, patience=min(task.patience, SHORT_PATIENCE))
        action = "find a key vault for the job's secrets"
        try:
            way.vault, refusal = with_retries(
                action, lambda: self._look(task), task.patience, self._time, check=task.check
            )
        except AzureMLError as error:
            return error
        except AzureError as error:
            return to_azureml_error(action, error, self._address)
        self._vaults.add(way.vault.url)
        return refusal or self._write(way, task)

    def _look(self, task: _Task) -> tuple[FoundVault, AzureMLError | None]:
        options = task.request.options
        with self._connection.reading():
            reader = reader_of(self._manager, self._address, task.target, options.identity)
            vault = find_vault(self._connection, options.key_vault)
            allowed = may_read(self._manager, vault, reader)
        if allowed or (allowed is None and task.must):
            return vault, None
        how = vault.how_to_let(reader.who, reader.object_id, self._address, write=False)
        if allowed is None:
            return vault, AzureMLError(
                f"Cannot check whether {reader.who} may read secrets of the key vault `{vault.name}`.",
                hint=f"{how}\nThen set `secrets_via='key-vault'`.",
            )
        return vault, AzureMLError(
            f"{reader.who[0].upper()}{reader.who[1:]} may not read secrets of the key vault `{vault.name}`.",
            hint=f"{how}\n{_TAKES_EFFECT}",
        )

    def _write(self, way: _Way, task: _Task) -> str | AzureMLError:
        """Write the job's secrets; return the address of the vault's secret, or the reason why they are not there.

        Raises:
            AzureMLError: If a vault that has worked before cannot be reached.
        """
        assert way.vault is not None  # noqa: S101 - it has been looked for
        action = f"write the job's secrets to the key vault `{way.vault.name}`"
        vault, request = VaultSecrets(self._connection, way.vault.url), task.request

        def write() -> str:
            try:
                return self._put(vault, request, request.name)
            except ResourceExistsError:
                # The job was submitted before, and its secret was deleted.
                return self._put(vault, request, f"{request.name}-{secrets.token_hex(4)}")

        try:
            url = with_retries(action, write, task.patience, self._time, check=task.check)
        except AzureError as error:
            refused = is_refusal(error)
            explained = to_azureml_error(
                action, error, self._address, hint=self._how_to_write(way.vault) if refused else ""
            )
            if way.proven and not refused:
                raise explained from error
            return explained
        way.proven = True
        return url

    def _put(self, vault: VaultSecrets, request: JobSpec, name: str) -> str:
        url = self._written[request.name] = vault.url_of(name)  # noted before it is written: an answer may be lost
        parts = parts_of(_secrets_of(request))
        expires = datetime.now(timezone.utc) + LIFETIME
        own = {**request.secret_tags, tags.WORKSPACE: self._address.path, tags.JOB: request.name}
        part_tags = {**own, PARTS_TAG: str(len(parts))}
        for part_name, part in zip([name, *further_parts(name, part_tags)], parts, strict=True):
            vault.set(part_name, part, part_tags, expires)
        # Again: another thread may have stopped the run in the meantime, and found nothing to delete.
        self._gone.pop(url, None)
        self._written[request.name] = url
        return url

    def _how_to_write(self, vault: FoundVault) -> str:
        try:
            token = self._connection.credential.get_token(self._connection.cloud.token_scope)
            me = signed_in_as(token.token)
        except AzureError:  # this explains another error: details that are not available are omitted
            me = None
        who, object_id, is_user = (me.who, me.object_id, me.is_user) if me else ("the credential", "", False)
        how = vault.how_to_let(who, object_id, self._address, write=True, is_user=is_user)
        return f"{how}\n{_TAKES_EFFECT} The vault's firewall must also allow this machine."

    def _warn(self, request: JobSpec, refusal: AzureMLError) -> None:
        if self._warned or not request.certain_secret_names:
            return
        self._warned = True
        names = ", ".join(sorted(request.certain_secret_names))
        says = f"\nAzure: {refusal.azure_message}" if refusal.azure_message else ""
        logger.warning(
            "The job definition contains secrets (%s). Anyone with Reader access to workspace `%s` can read them.\n"
            "The key vault could not be used: %s%s\n"
            "To fix this: %s\n"
            'To silence this warning: set `secrets_via="environment"`.',
            names,
            self._address.name,
            refusal.summary,
            says,
            refusal.hint,
        )


def _secrets_of(request: JobSpec) -> dict[str, str]:
    variables = {**request.environment_variables, **request.options.environment_variables}
    return {name: value for name, value in variables.items() if name in request.secret_names}
