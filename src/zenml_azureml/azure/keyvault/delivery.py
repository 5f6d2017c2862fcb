"""How the values of secrets travel to the jobs of a workspace: by a key vault, or in their definition.

Thread-safe: what was found out is guarded by a lock, which is held while it is found out, so that a hundred steps ask
once; which secrets there are is only added to, and entries dropped, one at a time.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError

from zenml_azureml import tags
from zenml_azureml.azure.arm.client import ResourceManager
from zenml_azureml.azure.auth.token_claims import signed_in_as
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import explain
from zenml_azureml.azure.keyvault.access import FoundVault, find_vault, may_read, reader_of
from zenml_azureml.azure.keyvault.client import ListedSecret, VaultSecrets
from zenml_azureml.azure.retry import is_transient, with_retries
from zenml_azureml.clock import Time
from zenml_azureml.contract.commands import unprepared
from zenml_azureml.contract.secret_chunks import PARTS_TAG, further_parts, parts_of, variables_in
from zenml_azureml.contract.variables import VAULT_AUDIENCE, VAULT_SECRET
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.secrets.classification import certain_secrets, secret_names, without_secrets
from zenml_azureml.specs.job import JobIdentity, JobSpec

logger = logging.getLogger(__name__)

#: How long a vault may be out of reach before `auto` leaves it alone.
SHORT_PATIENCE = timedelta(minutes=1)

#: How long it may be out of reach when a secret is to be deleted.
DELETE_PATIENCE = timedelta(seconds=20)

#: What a secret's attribute says of its end. A job may wait and run for weeks, and a vault gives an expired secret out
#: all the same: it is for people, and for policies, who find one that was left.
LIFETIME = timedelta(days=30)

_LEFT_BEHIND = "`zenml-azureml jobs cancel --orphans` deletes what is left once its step is over."


@dataclass
class _Way:
    """What is known of the way by a vault, for one kind of job.

    Attributes:
        vault: The vault.
        proven: Whether a secret has been written there.
        refusal: Why it is not to be used; None while it is.
    """

    vault: FoundVault | None = None
    proven: bool = False
    refusal: AzureMLError | None = None


@dataclass(frozen=True)
class _Task:
    """A job whose secrets are to travel by a vault.

    Attributes:
        request: The job.
        target: Where it will run.
        must: Whether they have to.
        patience: How long Azure may be out of reach.
        check: Called before anything is tried again; ends it by raising.
    """

    request: JobSpec
    target: ComputeTarget
    must: bool
    patience: timedelta
    check: Callable[[], None]


_Key = tuple[str | None, JobIdentity | None, str | None, bool]


class SecretDelivery:
    """Takes the secrets out of jobs, where a key vault can be used, and deletes them there in the end.

    Args:
        connection: The workspace.
        time: Where the time comes from.
    """

    def __init__(self, connection: WorkspaceConnection, time: Time) -> None:
        self._connection = connection
        self._address = connection.address
        self._manager = ResourceManager(connection)
        self._time = time
        self._lock = threading.Lock()
        self._ways: dict[_Key, _Way] = {}
        self._written: dict[str, str] = {}
        self._gone: set[str] = set()
        self._warned = False

    def deliver(
        self, request: JobSpec, target: ComputeTarget, patience: timedelta, check: Callable[[], None]
    ) -> JobSpec:
        """Put the secrets of a job where it will find them.

        Args:
            request: The job.
            target: Where it will run.
            patience: How long Azure may be out of reach.
            check: Called before anything is tried again; ends it by raising.

        Returns:
            The job without its secrets where they have gone to a vault; as it was, where they have not.

        Raises:
            AzureMLError: If they have to go to a vault and cannot. It names the role that is missing.
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

    def restored(self, request: JobSpec) -> JobSpec:
        """The request of a job as it was before its secrets went to a vault, to submit its step again.

        Args:
            request: What the job's definition tells.

        Raises:
            AzureMLError: If its secrets cannot be read.
        """
        variables = dict(request.environment_variables)
        of_vault: dict[str, str] = {}
        url = variables.pop(VAULT_SECRET, "")
        variables.pop(VAULT_AUDIENCE, None)
        if url:
            vault, doing = VaultSecrets(self._connection, url.partition("/secrets/")[0]), "reading the job's secrets"
            try:
                if not self._is_vault(vault.url):
                    raise AzureMLError(f"The secret {url} is not read: this is no address of a known key vault.")
                of_vault = variables_in(vault.get(url))
                variables.update(of_vault)
            except AzureError as error:
                raise explain(doing, error, self._address) from error
            except ValueError:
                raise AzureMLError(f"The secret {url} holds no environment variables.") from None
        return replace(
            request,
            command=unprepared(request.command),
            environment_variables=variables,
            tags={key: value for key, value in request.tags.items() if key != tags.VAULT_SECRET},
            # What went by a vault does so again, whatever it looks like: it may be the value of a ZenML secret.
            secret_names=secret_names(variables) | of_vault.keys(),
            certain_secret_names=certain_secrets(variables),
            secret_tags={key: request.tags[key] for key in tags.OF_SECRETS if key in request.tags},
        )

    def drop(self, job_name: str, further: Iterable[str] = (), *, in_background: bool = False) -> None:
        """Delete the secret of a job that has ended, if it has one. Never raises: what is left is told of.

        Args:
            job_name: The job.
            further: Addresses of its secrets that others know of: another process may have written it. Or empty ones.
            in_background: Whether to do it on a thread of its own, which the process does not end before.
        """
        found = {self._written.get(job_name, ""), *further} - {""} - self._gone
        try:
            self._gone.update(found)  # before they are: whoever comes next has nothing to wait for
            if found and in_background:
                threading.Thread(target=self._drop_all, args=[found], name="zenml-azureml-secret-drop").start()
            else:
                self._drop_all(found)
        except BaseException:  # a signal: whoever ends the step then does it
            self._gone.difference_update(found)
            raise

    def _drop_all(self, urls: Iterable[str]) -> None:
        for url in urls:
            self._drop(url)

    def _drop(self, url: str) -> None:
        try:
            # What was written, and is said not to be there, is looked for again: one answer may be wrong.
            if not self.delete(url):
                self.delete(url)
        except AzureMLError as error:
            logger.warning("%s", error)

    def delete(self, url: str) -> bool:
        """Delete a secret.

        Args:
            url: Its address.

        Returns:
            Whether it was there.

        Raises:
            AzureMLError: If that cannot be done.
        """
        vault = VaultSecrets(self._connection, url.partition("/secrets/")[0])
        doing = f"deleting the secret {url}"
        try:
            if not with_retries(doing, lambda: self._is_vault(vault.url), DELETE_PATIENCE, self._time):
                # A token is not sent to wherever the tag of a job may say.
                raise AzureMLError(f"The secret {url} is not deleted: this is no address of a known key vault.")
            return with_retries(doing, lambda: vault.delete(url), DELETE_PATIENCE, self._time)
        except AzureError as error:
            raise explain(doing, error, self._address, do_next=_LEFT_BEHIND) from error

    def left(self, key_vault: str | None) -> Iterator[ListedSecret]:
        """The secrets of this workspace's jobs that are in a vault; none where it may not be looked into.

        Args:
            key_vault: Name, URL or ARM id of the vault; None for the workspace's own.

        Raises:
            AzureMLError: If Azure cannot be reached or refuses.
        """
        doing = "looking for secrets in the key vault"
        try:
            with self._connection.reading():
                vault = find_vault(self._manager, self._address, key_vault)
            for secret in VaultSecrets(self._connection, vault.url).items():
                if secret.tags.get(tags.WORKSPACE, "").lower() == self._address.path.lower():
                    yield secret
        except AzureError as error:
            # Who may not list what is in the vault has not put anything there.
            if key_vault is not None or not _is_refusal(error):
                raise explain(doing, error, self._address) from error

    def _is_vault(self, url: str) -> bool:
        """Whether an address is that of one of Azure's key vaults, or of one that has been found here."""
        parts = urlsplit(url)
        if parts.scheme == "https" and str(parts.hostname).endswith(self._connection.cloud.vault_suffix):
            return True
        known = {way.vault.url for way in list(self._ways.values()) if way.vault is not None}
        with self._connection.reading():
            return url in known or url == find_vault(self._manager, self._address, None).url

    def _first(self, way: _Way, task: _Task) -> str | AzureMLError:
        """As `_write`, where it is not known yet whether that works. One thread finds out, the others wait for it."""
        with self._lock:
            if not way.proven:
                if way.refusal is not None and not task.must:
                    return way.refusal
                outcome = self._try(way, task)  # a role that was missing may have been given meanwhile
                way.refusal = None if isinstance(outcome, str) else outcome
                return outcome
        return self._write(way, task)

    def _try(self, way: _Way, task: _Task) -> str | AzureMLError:
        """Find out whether the vault can be used, by using it."""
        if not task.must:
            task = replace(task, patience=min(task.patience, SHORT_PATIENCE))
        doing = "looking for a key vault for the job's secrets"
        try:
            way.vault, refusal = with_retries(
                doing, lambda: self._look(task), task.patience, self._time, check=task.check
            )
        except AzureMLError as error:
            return error
        except AzureError as error:
            return explain(doing, error, self._address)
        return refusal or self._write(way, task)

    def _look(self, task: _Task) -> tuple[FoundVault, AzureMLError | None]:
        options = task.request.options
        with self._connection.reading():
            reader = reader_of(self._manager, self._address, task.target, options.identity)
            vault = find_vault(self._manager, self._address, options.key_vault)
            allowed = may_read(self._manager, vault, reader)
        if allowed or (allowed is None and task.must):
            return vault, None
        how = vault.how_to_let(reader.who, reader.object_id, write=False)
        if allowed is None:
            return vault, AzureMLError(
                f"It cannot be told from here whether {reader.who} may read secrets of the key vault `{vault.name}`.",
                do_next=f"{how}. Then set `secrets_via='key-vault'`.",
            )
        return vault, AzureMLError(
            f"{reader.who[0].upper()}{reader.who[1:]} may not read secrets of the key vault `{vault.name}`.",
            do_next=f"{how}. It takes some minutes to count.",
        )

    def _write(self, way: _Way, task: _Task) -> str | AzureMLError:
        """Write the job's secrets; the address of the vault's secret, or why it is not to be.

        Raises:
            AzureMLError: If a vault that has worked before cannot be reached.
        """
        assert way.vault is not None  # noqa: S101 - it has been looked for
        doing = f"writing the job's secrets to the key vault `{way.vault.name}`"
        vault, request = VaultSecrets(self._connection, way.vault.url), task.request

        def write() -> str:
            try:
                return self._put(vault, request, request.name)
            except ResourceExistsError:
                # Somebody has submitted this job before, and has deleted what belonged to it.
                return self._put(vault, request, f"{request.name}-{secrets.token_hex(4)}")

        try:
            url = with_retries(doing, write, task.patience, self._time, check=task.check)
        except AzureError as error:
            refused = _is_refusal(error)
            explained = explain(doing, error, self._address, do_next=self._how_to_write(way.vault) if refused else "")
            if way.proven and not refused:
                raise explained from error
            return explained
        way.proven = True
        return url

    def _put(self, vault: VaultSecrets, request: JobSpec, name: str) -> str:
        url = self._written[request.name] = vault.url_of(name)  # before it is: an answer may be lost
        parts = parts_of(_secrets_of(request))
        expires = datetime.now(timezone.utc) + LIFETIME
        own = {**request.secret_tags, tags.WORKSPACE: self._address.path, tags.JOB: request.name}
        part_tags = {**own, PARTS_TAG: str(len(parts))}
        for part_name, part in zip([name, *further_parts(name, part_tags)], parts, strict=True):
            vault.set(part_name, part, part_tags, expires)
        # Again: its run may have been ended meanwhile, on another thread, which has found nothing to delete.
        self._gone.discard(url)
        self._written[request.name] = url
        return url

    def _how_to_write(self, vault: FoundVault) -> str:
        try:
            token = self._connection.credential.get_token(self._connection.cloud.token_scope)
            me = signed_in_as(token.token)
        except AzureError:  # an error is being explained: what cannot be had for it is left out
            me = None
        who, object_id, is_user = (me.who, me.object_id, me.is_user) if me else ("the credential", "", False)
        how = vault.how_to_let(who, object_id, write=True, is_user=is_user)
        return f"{how}. It takes some minutes to count. The vault's firewall must let this machine in."

    def _warn(self, request: JobSpec, refusal: AzureMLError) -> None:
        if self._warned or not request.certain_secret_names:
            return
        self._warned = True
        names = ", ".join(sorted(request.certain_secret_names))
        says = f" Azure: {refusal.azure_says}" if refusal.azure_says else ""
        logger.warning(
            "Secrets are in the definition of the job (%s): whoever may read jobs of the workspace `%s` can read them, "
            "for which the role Reader is enough. They would travel by a key vault, but: %s%s What would end that: %s "
            "To have it as it is without this warning, set `secrets_via='environment'`.",
            names,
            self._address.name,
            refusal.what,
            says,
            refusal.do_next if refusal.do_next.endswith(".") else f"{refusal.do_next}.",
        )


def _secrets_of(request: JobSpec) -> dict[str, str]:
    variables = {**request.environment_variables, **request.options.environment_variables}
    return {name: value for name, value in variables.items() if name in request.secret_names}


def _is_refusal(error: AzureError) -> bool:
    return isinstance(error, HttpResponseError) and error.status_code in (401, 403) and not is_transient(error)
