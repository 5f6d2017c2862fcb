"""Read-only requests about an Azure ML workspace and its jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from azure.core.exceptions import AzureError

from zenml_azureml.azure.arm.inspector import Inspector
from zenml_azureml.azure.compute.estimate import Estimate, estimate
from zenml_azureml.azure.compute.left import ComputeLeft, computes_left
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.compute.placing import preview
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.data.assets import FoundAsset
from zenml_azureml.azure.data.lookup import DataLookup
from zenml_azureml.azure.data.written import written_data
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.jobs.details import JobDetails, describe_job
from zenml_azureml.azure.jobs.listing import find_job, list_jobs
from zenml_azureml.azure.jobs.manifest import spec_of
from zenml_azureml.azure.jobs.metrics import fetch_metrics
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.azure.jobs.submitter import build_command_job
from zenml_azureml.azure.logs.streamer import LogFollower, RunDetails
from zenml_azureml.azure.sizes.catalogue import SizeCatalogue
from zenml_azureml.azure.sizes.quota import Quota
from zenml_azureml.azure.sizes.vm_size import VmSize
from zenml_azureml.clock import Time
from zenml_azureml.specs.compute import ComputeSpec
from zenml_azureml.specs.job import JobOptions, JobSpec


class WorkspaceReader:
    """What can be read of one workspace. Thread-safe, as its connection is.

    Args:
        connection: The connection to the workspace.
        time: Source of time.

    Attributes:
        address: Its address.
        data: Look-ups of the data of jobs, without retries.
    """

    def __init__(self, connection: WorkspaceConnection, time: Time) -> None:
        self.address = connection.address
        self.data = DataLookup(connection)
        self._connection = connection
        self._time = time

    def list_jobs(self, tag: str) -> Iterator[JobSnapshot]:
        """Yield the jobs with a tag, newest first. See `listing.list_jobs`."""
        return list_jobs(self._connection, tag)

    def find_job(self, job_name: str) -> JobSnapshot | None:
        """Return the job of that name; None if there is none. See `listing.find_job`."""
        return find_job(self._connection, job_name)

    def describe_job(self, job_name: str) -> JobDetails | None:
        """Return the details of the job of that name; None if there is none. See `details.describe_job`."""
        return describe_job(self._connection, job_name)

    def read_log(self, job: JobSnapshot, on_lines: Callable[[list[str]], None]) -> RunDetails:
        """Read the log of a job up to now.

        Args:
            job: The job.
            on_lines: Called with several lines at a time.

        Raises:
            AzureMLError: If the log cannot be read.
        """
        try:
            follower = LogFollower(self._connection, job.name, self._time.monotonic, job.processes_per_node)
            return follower.tell_rest(on_lines)
        except AzureError as error:
            raise to_azureml_error(f"read the log of the job `{job.name}`", error, self.address) from error

    @property
    def inspector(self) -> Inspector:
        """Read-only queries about the workspace and its surroundings."""
        return Inspector(self._connection)

    def preview(self, request: JobSpec, compute: ComputeSpec, demands: Demands) -> dict[str, Any]:
        """Return the job that `submit` would send, as `az ml job create` takes it.

        Args:
            request: The job, without secrets.
            compute: The compute to run it on.
            demands: The requirements on its machines.

        Raises:
            AzureMLError: If no size meets the requirements, or Azure cannot be reached.
        """
        name, options = preview(self._connection, compute, request.options, demands)
        return spec_of(build_command_job(replace(request, options=options), name))

    def estimate(self, compute: ComputeSpec, options: JobOptions, demands: Demands) -> Estimate:
        """Return the likely placement of a job, with its price. See `compute.estimate.estimate`."""
        return estimate(self._connection, compute, options, demands)

    def offer(self, location: str | None) -> tuple[tuple[VmSize, ...], Quota] | None:
        """Return the VM sizes and the quota of a region; None if they are not known. See `SizeCatalogue.offer`."""
        return SizeCatalogue(self._connection, location).offer()

    def metrics(self, job_name: str) -> dict[str, float | str]:
        """Return the metrics of a job. See `jobs.metrics.fetch_metrics`.

        Raises:
            AzureMLError: If they cannot be read.
        """
        try:
            return fetch_metrics(self._connection, job_name)
        except AzureError as error:
            raise to_azureml_error(f"read the metrics of the job `{job_name}`", error, self.address) from error

    def written_data(self, job_name: str, outputs: Iterable[str]) -> dict[str, FoundAsset]:
        """Return what a job has written. See `data.written.written_data`."""
        return written_data(self._connection, job_name, outputs)

    def computes_left(self, name: str | None = None) -> list[ComputeLeft]:
        """Return the computes that are to be deleted after runs. See `compute.left.computes_left`."""
        return computes_left(self._connection, name)
