"""Builds and submits command jobs and their environments."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

from azure.ai.ml import command
from azure.ai.ml.entities import (
    AmlTokenConfiguration,
    Command,
    Environment,
    Job,
    JupyterLabJobService,
    ManagedIdentityConfiguration,
    SshJobService,
    TensorBoardJobService,
    UserIdentityConfiguration,
    VsCodeJobService,
)
from azure.core.exceptions import AzureError, ClientAuthenticationError, ResourceNotFoundError

from zenml_azureml import tags
from zenml_azureml.azure.cli_hints import az_ml
from zenml_azureml.azure.compute.placement import Placement
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.errors import is_missing_workspace, to_azureml_error
from zenml_azureml.azure.jobs.data_bindings import inputs_of, outputs_of
from zenml_azureml.azure.jobs.distributions import distribution_of
from zenml_azureml.azure.jobs.snapshot import studio_url_of_sdk
from zenml_azureml.azure.retry import is_transient
from zenml_azureml.azure.sdk.git_properties import cache_git_properties
from zenml_azureml.azure.single_flight import Once
from zenml_azureml.contract.commands import prepared
from zenml_azureml.contract.mlflow import marker, named_by, with_own_names
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.safe_text import safe_name, safe_tags
from zenml_azureml.specs.job import JobIdentity, JobService, JobSpec

logger = logging.getLogger(__name__)

ENVIRONMENT_VERSION = "1"


@dataclass(frozen=True)
class SubmittedJob:
    """A job that Azure ML has accepted.

    Attributes:
        name: Its name in the workspace.
        id: Its ARM id.
        studio_url: Its page in Azure ML Studio; empty if Azure gave none.
        placement: The compute that was requested for it.
        tags: Its tags; if the job existed already, its own and not the requested ones.
    """

    name: str
    id: str
    studio_url: str
    placement: Placement
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def vault_secret(self) -> str:
        """Address of the key vault secret that holds its secrets; empty if they are in its definition."""
        return self.tags.get(tags.VAULT_SECRET, "")


def environment_name(image: str) -> str:
    """Return the name of the environment for an image, which depends only on the image reference.

    So there is one environment per image, even if several processes register it: they do not pile up in the workspace.
    Names are at most 255 letters, digits, `-` and `_` (measured at the service; the SDK does not check).

    Args:
        image: Image reference, e.g. `registry.azurecr.io/zenml:train-1`.

    Returns:
        e.g. `zenml-zenml-train-1-3f6c9d5a0b12`.
    """
    last = image.split("@", maxsplit=1)[0].rpartition("/")[2]
    readable = re.sub(r"[^a-zA-Z0-9]+", "-", last).strip("-").lower()[:60]
    digest = hashlib.sha256(image.encode()).hexdigest()[:12]
    return f"zenml-{readable}-{digest}" if readable else f"zenml-{digest}"


def build_command_job(request: JobSpec, compute: str | None) -> Command:
    """Build the job as the SDK sends it.

    Args:
        request: The spec of the job.
        compute: Name of the compute target; None for serverless.

    Returns:
        An entity for `MLClient.jobs.create_or_update`. It refers to its environment by name and version, so
        submitting it is one request.
    """
    options, variables = request.options, _environment_variables(request)
    return command(
        name=request.name,
        display_name=options.display_name or request.display_name,
        description=options.description,
        experiment_name=options.experiment or request.experiment,
        tags={**options.tags, **request.tags},
        command=prepared(request.command, variables),
        environment=f"azureml:{environment_name(request.image)}:{ENVIRONMENT_VERSION}",
        environment_variables=variables,
        compute=compute,
        timeout=None if options.timeout is None else int(options.timeout.total_seconds()),
        shm_size=options.shm_size,
        docker_args=options.docker_args,
        identity=_identity(options.identity),
        services={service.name: _service(service) for service in options.services} or None,
        inputs=inputs_of(options.inputs),
        outputs=outputs_of(options.outputs, request.checkpoints),
        instance_type=options.instance_type,
        instance_count=options.instance_count,
        distribution=distribution_of(options.distribution),
        job_tier=options.job_tier,
        priority=options.priority,
        locations=list(options.locations) or None,
    )


def _environment_variables(request: JobSpec) -> dict[str, str]:
    identity = request.options.identity
    variables = {**request.environment_variables, **request.options.environment_variables}
    if identity is not None and identity.client_id:
        # Without it, DefaultAzureCredential in the job does not pick a user-assigned identity.
        variables.setdefault("AZURE_CLIENT_ID", identity.client_id)
    # A fallback target may have further variables.
    named = marker([*named_by(variables), *request.options.environment_variables])
    return with_own_names({**variables, **named})


_Identity = ManagedIdentityConfiguration | UserIdentityConfiguration | AmlTokenConfiguration


def _identity(identity: JobIdentity | None) -> _Identity | None:
    if identity is None:
        return None
    if identity.kind == "managed":
        return ManagedIdentityConfiguration(client_id=identity.client_id)
    return UserIdentityConfiguration() if identity.kind == "user" else AmlTokenConfiguration()


_Service = SshJobService | JupyterLabJobService | TensorBoardJobService | VsCodeJobService


def _service(service: JobService) -> _Service:
    nodes: Literal["all"] | None = "all" if service.nodes else None
    if service.type == "ssh":
        return SshJobService(port=service.port, nodes=nodes, ssh_public_keys=service.ssh_public_keys)
    if service.type == "tensor_board":
        return TensorBoardJobService(port=service.port, nodes=nodes, log_dir=service.log_dir)
    kind = JupyterLabJobService if service.type == "jupyter_lab" else VsCodeJobService
    return kind(port=service.port, nodes=nodes)


def how_to_cancel(address: WorkspaceAddress, job_name: str) -> str:
    """Return a line with the command that cancels a job."""
    return f"To cancel it manually: {az_ml(address, 'ml job cancel', name=job_name)}"


class JobSubmitter:
    """Submits jobs to one workspace. Thread-safe: its table of environments changes by one entry at a time.

    Args:
        connection: The workspace.
    """

    def __init__(self, connection: WorkspaceConnection) -> None:
        cache_git_properties()
        self._connection = connection
        self._environments: dict[str, Once[None]] = {}

    def submit(self, request: JobSpec, placement: Placement) -> SubmittedJob:
        """Submit a job; one request, once the image's environment is known.

        Submitting a job again returns the existing one, even if the answer to the first request was lost.

        Args:
            request: The job.
            placement: The compute to run it on.

        Returns:
            The job as Azure ML accepted it.

        Raises:
            AzureMLError: If Azure ML refuses the job or cannot be reached, or has another job of that name.
        """
        try:
            with self._connection.reading():
                self._ensure_environment(request.image)
                job = self._create(request, placement)
                return SubmittedJob(
                    name=safe_name(str(job.name)),
                    id=safe_name(str(job.id)),
                    studio_url=studio_url_of_sdk(job),
                    placement=placement,
                    tags=safe_tags(job.tags),
                )
        except AzureError as error:
            raise to_azureml_error(f"submit the job `{request.name}`", error, self._connection.address) from error

    def _create(self, request: JobSpec, placement: Placement) -> Job:
        try:
            with self._cloud_for(request.options.identity):
                job: Job = self._connection.one_try_client.jobs.create_or_update(
                    build_command_job(request, placement.target.name),
                    # It takes longer than all the rest, blocks every other thread, and repeats what the settings
                    # have been checked for.
                    skip_validation=True,
                )
                return job
        except ClientAuthenticationError:
            raise
        except AzureError as refusal:
            # After any error the job may exist: the answer to this request or to an earlier one was lost. Azure refuses
            # a repeated request if anything differs, even a token in the job's environment.
            found = self._find(request.name, refusal)
            own = request.own_tag
            if (found.tags or {}).get(own) != request.tags.get(own):
                raise AzureMLError(
                    f"The workspace `{self._connection.address.name}` has a job named `{request.name}` already, and "
                    f"its tag `{own}` shows that it belongs to another step run.",
                    hint="Check the job in Azure ML Studio. A new run of the pipeline uses another job name.",
                ) from None
            logger.info("Job `%s` already exists; reusing it.", request.name)
            return found

    def _find(self, job_name: str, refusal: AzureError) -> Job:
        """Return the job of that name.

        Raises:
            azure.core.exceptions.AzureError: The refusal if there is no such job; the error of the look-up if it is
                transient, because treating it as "no such job" would lose the job.
        """
        try:
            job: Job = self._connection.one_try_client.jobs.get(job_name)
            return job
        except AzureError as error:
            if is_transient(error):
                raise error from refusal
            raise refusal from None

    def _cloud_for(self, identity: JobIdentity | None) -> AbstractContextManager[None]:
        """Return the context for a submit with that identity: see `WorkspaceConnection.current_cloud`."""
        as_user = identity is not None and identity.kind == "user"
        return self._connection.current_cloud() if as_user else nullcontext()

    def _ensure_environment(self, image: str) -> None:
        name = environment_name(image)

        def ensure() -> None:
            environments = self._connection.one_try_client.environments
            try:
                environments.get(name, version=ENVIRONMENT_VERSION)
            except ResourceNotFoundError as error:
                if is_missing_workspace(error):
                    raise
                environments.create_or_update(Environment(name=name, version=ENVIRONMENT_VERSION, image=image))

        # A hundred steps with one image send one request.
        self._environments.setdefault(name, Once()).get(ensure)
