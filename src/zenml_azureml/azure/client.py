"""The client of an Azure ML workspace: submit, watch and cancel jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from azure.core.credentials import TokenCredential

from zenml_azureml import tags
from zenml_azureml.azure.compute.deletion import delete_compute
from zenml_azureml.azure.compute.placement import Demands, Placement
from zenml_azureml.azure.compute.placing import place
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.compute.usage import ComputeUsage
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.cancellation import cancel_job
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.monitor import JobMonitor
from zenml_azureml.azure.jobs.resubmission import spec_from_job
from zenml_azureml.azure.jobs.services import tunnel_url
from zenml_azureml.azure.jobs.submitter import JobSubmitter, SubmittedJob, how_to_cancel
from zenml_azureml.azure.jobs.watch import WatchOptions
from zenml_azureml.azure.keyvault.delivery import SecretDelivery
from zenml_azureml.azure.reader import WorkspaceReader
from zenml_azureml.azure.retry import DEFAULT_PATIENCE, with_retries
from zenml_azureml.clock import SYSTEM_TIME, Time
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec
from zenml_azureml.specs.job import JobSpec

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.tunnel import Tunnel

T = TypeVar("T")

_JOB_ID = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/[^/]+/workspaces/([^/]+)/jobs/", re.IGNORECASE
)


@dataclass(frozen=True)
class PlacedJob:
    """A job with its compute, which is not submitted yet.

    Attributes:
        request: The job, with the options and the price of its placement.
        placement: The compute and VM size.
        patience: Longest time for which Azure may be unreachable.
        check: Called before each retry; stops it by raising.
    """

    request: JobSpec
    placement: Placement
    patience: timedelta
    check: Callable[[], None]


class Workspace(WorkspaceReader):
    """One workspace and its jobs. Thread-safe, as each of its parts is.

    Args:
        address: Its address.
        credential: Makes the credential when it is first needed.
        time: Source of time.
    """

    def __init__(
        self, address: WorkspaceAddress, credential: Callable[[], TokenCredential], time: Time = SYSTEM_TIME
    ) -> None:
        super().__init__(WorkspaceConnection(address, credential, time=time), time)
        self._credential = credential
        self._submitter = JobSubmitter(self._connection)
        self._monitor = JobMonitor(self._connection, time)
        self._leases = ComputeUsage()
        self._secrets = SecretDelivery(self._connection, time)

    @contextmanager
    def placed(
        self,
        request: JobSpec,
        compute: ComputeSpec,
        demands: Demands,
        *,
        delete_compute_after: bool = False,
        patience: timedelta = DEFAULT_PATIENCE,
        check: Callable[[], None] = lambda: None,
    ) -> Iterator[PlacedJob]:
        """Place a job on the requested compute, which is created if necessary, for a block that submits it.

        If the block raises, the job is released: its secrets are deleted, and the compute that was created for it.

        Args:
            request: The job.
            compute: The compute to run it on.
            demands: The requirements on its machines.
            delete_compute_after: True to delete a compute that has to be created after its last job.
            patience: Longest time for which Azure may be unreachable.
            check: Called before each retry; stops it by raising.

        Yields:
            The job, for `with_secrets_delivered` and `send`.

        Raises:
            AzureMLError: If the compute cannot be provisioned.
        """
        if delete_compute_after and isinstance(compute, (ComputeInstance, ComputeCluster)):
            of_run = {tags.DELETE_AFTER_RUN: tags.RUN_ID, tags.SERVER_ID: tags.SERVER_ID}
            named = {key: request.tags[tag] for key, tag in of_run.items() if tag in request.tags}
            compute = replace(compute, tags=named)
        placement, options = with_retries(
            "prepare the compute",
            lambda: place(self._connection, compute, request.options, demands, self._time),
            patience,
            self._time,
            check=check,
        )
        self._leases.take(placement.target, request.name, delete_after=delete_compute_after)
        try:
            priced = replace(request, options=options, tags={**request.tags, **_price(request, placement)})
            yield PlacedJob(priced, placement, patience, check)
        except BaseException:
            # The caller does not call `release` for a step that was not submitted.
            self.release(request.name)
            raise

    def with_secrets_delivered(self, job: PlacedJob) -> PlacedJob:
        """Return a placed job whose secrets are where the job reads them.

        Raises:
            AzureMLError: If they cannot be delivered as required.
        """
        return replace(job, request=self._secrets.deliver(job.request, job.placement.target, job.patience, job.check))

    def send(self, job: PlacedJob) -> SubmittedJob:
        """Send a placed job, and return it as Azure ML accepted it.

        Raises:
            AzureMLError: If it is refused.
        """
        return with_retries(
            "submit the job",
            partial(self._submitter.submit, job.request, job.placement),
            job.patience,
            self._time,
            check=job.check,
        )

    def submit(self, request: JobSpec, compute: ComputeSpec, demands: Demands, **options: Any) -> SubmittedJob:
        """Place a job, deliver its secrets and send it.

        Args:
            request: The job.
            compute: The compute to run it on.
            demands: The requirements on its machines.
            options: Options of `placed`.
        """
        with self.placed(request, compute, demands, **options) as job:
            return self.send(self.with_secrets_delivered(job))

    def spec_from_job(
        self,
        job_name: str,
        own_tag: str,
        *,
        patience: timedelta = DEFAULT_PATIENCE,
        check: Callable[[], None] = lambda: None,
    ) -> JobSpec:
        """Return the spec of a job, without its target. See `jobs.resubmission.spec_from_job`."""

        def read() -> JobSpec:
            return self._secrets.restored(spec_from_job(self._connection, job_name, own_tag))

        return with_retries(f"read the job `{job_name}`", read, patience, self._time, check=check)

    def retrying(
        self, action: str, work: Callable[[], T], *, patience: timedelta, check: Callable[[], None] = lambda: None
    ) -> T:
        """Call a function again while Azure is unreachable. See `retry.with_retries`."""
        return with_retries(action, work, patience, self._time, check=check)

    def watch(self, job_name: str, options: WatchOptions) -> JobHandle:
        """Watch a job; a second call returns the same handle. See `JobMonitor.watch`."""
        return self._monitor.watch(job_name, options)

    def of_job(self, job_id: str) -> Workspace:
        """Return the workspace of a job: this one, or, if its id names another, that one with the same credential.

        Args:
            job_id: The job's ARM id; empty if unknown.
        """
        found = _JOB_ID.match(job_id)
        mine = (self.address.subscription_id, self.address.resource_group, self.address.name)
        if found is None or [part.lower() for part in found.groups()] == [part.lower() for part in mine]:
            return self
        subscription_id, resource_group, name = found.groups()
        address = replace(self.address, subscription_id=subscription_id, resource_group=resource_group, name=name)
        return Workspace(address, self._credential, self._time)

    @contextmanager
    def shell(self, job_name: str, node: int) -> Iterator[Tunnel]:
        """Connect to the SSH server of a job's node, for the length of a `with`.

        Args:
            job_name: The job, which runs.
            node: Number of the node, from 0.

        Raises:
            AzureMLError: If the job has no SSH service there, Azure refuses, or cannot be reached.
        """
        from zenml_azureml.azure.jobs.tunnel import open_tunnel  # only here: it imports a client of websockets

        with open_tunnel(self._connection, tunnel_url(self._connection, job_name, node), job_name) as tunnel:
            yield tunnel

    @property
    def secrets(self) -> SecretDelivery:
        """The secrets of the workspace's jobs in key vaults."""
        return self._secrets

    def drop_secret(self, job_name: str, recorded: str = "", *, in_background: bool = False) -> None:
        """Delete the secret of a job that has ended, if it has one. Never raises.

        Args:
            job_name: The job.
            recorded: Address of its secret, if the caller knows it; otherwise empty.
            in_background: True to do it on a thread of its own.
        """
        job = self._monitor.watched(job_name)
        if job is None:
            self._secrets.drop(job_name, [recorded], in_background=in_background)
        elif job.error is None or job.phase.ended:  # the job may still run if its watch failed
            self._secrets.drop(job_name, [recorded, job.vault_secret], in_background=in_background)

    def release(self, job_name: str) -> None:
        """Stop watching a job, and delete its secrets and the compute that was created to be deleted after it.

        Raises:
            AzureMLError: If the compute cannot be deleted; the message has the command to delete it manually.
        """
        self.drop_secret(job_name)
        self.leave(job_name)
        target = self._leases.release(job_name)
        if target is not None:
            delete_compute(self._connection, target, clock=self._time.monotonic)

    def delete_compute(self, target: ComputeTarget) -> bool:
        """Delete a compute that was created for a step. See `compute.deletion.delete_compute`."""
        return delete_compute(self._connection, target, clock=self._time.monotonic)

    def leave(self, job_name: str) -> None:
        """Stop watching a job that is still unfinished. Its secrets and its compute stay."""
        self._secrets.forget(job_name)
        self._monitor.forget(job_name)

    def cancel(self, job_name: str) -> bool:
        """Request the cancellation of a job, and poll it soon. See `cancellation.cancel_job`."""
        found = cancel_job(self._connection, job_name, self._time)
        self._monitor.hurry(job_name)
        return found

    def how_to_cancel(self, job_name: str) -> str:
        """Return a line with the command that cancels a job."""
        return how_to_cancel(self.address, job_name)


def _price(request: JobSpec, placement: Placement) -> dict[str, str]:
    """Return the tag with the price of the job, if known."""
    if placement.usd_per_hour is None or request.price_tag is None:
        return {}
    return {request.price_tag: f"{placement.usd_per_hour:.4f}"}
