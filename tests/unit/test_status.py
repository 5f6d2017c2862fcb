"""What a job's status means for its step: only words after which ZenML goes on asking, or ends the step."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from azure.identity import ClientSecretCredential
from azure.mgmt.machinelearningservices.models import JobStatus
from zenml.enums import ExecutionStatus

from tests.contract.waiting import eventually
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.monitor import JobMonitor
from zenml_azureml.azure.jobs.status import JobPhase, phase_of
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.azure.jobs.watch import WatchOptions
from zenml_azureml.azure.retry import DEFAULT_PATIENCE
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.lifecycle.outcome import status_of
from zenml_azureml.specs.job import JobSpec

EXPECTED = {
    "NotStarted": ExecutionStatus.INITIALIZING,
    "Starting": ExecutionStatus.INITIALIZING,
    "Queued": ExecutionStatus.PROVISIONING,
    "Provisioning": ExecutionStatus.PROVISIONING,
    "Preparing": ExecutionStatus.PROVISIONING,
    "Running": ExecutionStatus.RUNNING,
    "Finalizing": ExecutionStatus.RUNNING,
    # Not ends: the job may still hold its compute, or come back.
    "CancelRequested": ExecutionStatus.RUNNING,
    "NotResponding": ExecutionStatus.RUNNING,
    "Paused": ExecutionStatus.RUNNING,
    "Unknown": ExecutionStatus.RUNNING,
    "Completed": ExecutionStatus.COMPLETED,
    "Failed": ExecutionStatus.FAILED,
    "Canceled": ExecutionStatus.STOPPED,
}

A_LONG_TIME = timedelta(seconds=30)

OPTIONS = WatchOptions(tag="", patience=DEFAULT_PATIENCE)


def test_every_status_that_azure_has_is_known() -> None:
    assert set(EXPECTED) == {status.value for status in JobStatus}


def test_every_status_and_an_unknown_one_reach_zenml_as_a_word_that_it_can_use(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    connection = a_connection(credential)
    emulator.context.settings.simulated_seconds = 3600
    request = JobSpec("job", "job", "tests", "image", "true", environment_variables={}, tags={}, own_tag="")
    JobSubmitter(connection).submit(request, ANYWHERE)
    (job,) = emulator.context.store.workspaces[0].jobs.values()
    eventually(lambda: job.status == "Running")

    monitor, seen = JobMonitor(connection), {}
    for status in [*EXPECTED, "Hibernating"]:
        job.status = status
        watched = monitor.watch("job", OPTIONS)
        eventually(partial(looked_at, watched))
        seen[status] = status_of(watched)
        monitor.forget("job")

    assert seen == {**EXPECTED, "Hibernating": ExecutionStatus.RUNNING}


def test_an_end_counts_only_when_the_log_was_read() -> None:
    assert status_of(JobHandle("job", status="Completed")) is ExecutionStatus.RUNNING


def test_only_three_phases_are_ends() -> None:
    assert {phase for phase in map(phase_of, EXPECTED) if phase.ended} == {
        JobPhase.COMPLETED,
        JobPhase.FAILED,
        JobPhase.CANCELED,
    }


def test_a_job_that_is_gone_is_an_error_and_not_waited_for(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    watched = JobMonitor(a_connection(credential)).watch("no-such-job", OPTIONS)

    assert watched.wait(A_LONG_TIME)
    assert status_of(watched) is ExecutionStatus.FAILED
    assert "no-such-job not found" in str(watched.error)


def looked_at(watched: JobHandle) -> bool:
    return watched.settled or (bool(watched.status) and not watched.phase.ended)


def a_connection(credential: ClientSecretCredential) -> WorkspaceConnection:
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    return WorkspaceConnection(address, lambda: credential)
