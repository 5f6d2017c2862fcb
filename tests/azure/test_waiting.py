"""Waiting for jobs: how many requests it takes, what it survives, and what ends it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from azure.identity import ClientSecretCredential

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.monitor import JobMonitor
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.azure.jobs.watch import WatchOptions
from zenml_azureml.clock import SystemTime
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.resources import Job
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobSpec

A_LONG_TIME = timedelta(seconds=30)

SLOW_DOWN = {"error": {"code": "TooManyRequests", "message": "Slow down."}}


class FastTime(SystemTime):
    """A hundred seconds of it are one of the machine's."""

    def monotonic(self) -> float:
        return super().monotonic() * 100

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / 100)


@pytest.fixture
def connection(emulator: Emulator, credential: ClientSecretCredential) -> WorkspaceConnection:
    emulator.context.settings.simulated_seconds = 3600
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    return WorkspaceConnection(address, lambda: credential, time=FastTime())


@pytest.fixture
def monitor(connection: WorkspaceConnection) -> JobMonitor:
    """A monitor that looks twenty times a second."""
    return JobMonitor(connection, FastTime(), poll_interval=timedelta(seconds=5))


def submit(connection: WorkspaceConnection, name: str, **tags: str) -> None:
    request = JobSpec(name, name, "tests", "image", "true", environment_variables={}, tags=tags, own_tag="")
    JobSubmitter(connection).submit(request, ANYWHERE)


def watch(monitor: JobMonitor, name: str, tag: str = "", minutes: float = 30) -> JobHandle:
    return monitor.watch(name, WatchOptions(tag=tag, patience=timedelta(minutes=minutes)))


def jobs_of(emulator: Emulator) -> dict[str, Job]:
    return emulator.context.store.workspaces[0].jobs


def arm(emulator: Emulator, **fault: Any) -> None:
    answer = Arm(emulator).call("POST", "/_emulator/faults", {"method": "GET", "path": "/jobs", "times": 1000, **fault})
    assert answer.status == 201, answer.text


def looks(emulator: Emulator) -> list[str]:
    """What of jobs was asked for since the last reset of the record, each by the end of its path."""
    asked = [entry["path"].rpartition("/")[2] for entry in requests_of(emulator) if entry["method"] == "GET"]
    return [name for name in asked if name == "jobs" or name in jobs_of(emulator)]


def test_all_jobs_of_a_run_are_polled_with_one_listing(
    emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    for number in range(8):
        submit(connection, f"job-{number}", run_1="")
        submit(connection, f"other-{number}", run_2="")
    watched = [watch(monitor, f"job-{number}", tag="run_1") for number in range(8)]

    eventually(lambda: all(job.status == "Running" for job in watched))
    before = len(looks(emulator))
    eventually(lambda: len(looks(emulator)) > before + 5)

    assert set(looks(emulator)[before:]) == {"jobs"}


def test_one_or_two_jobs_are_asked_for_by_name(
    emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    for number in range(2):
        submit(connection, f"job-{number}", run_1="")
        watch(monitor, f"job-{number}", tag="run_1")

    eventually(lambda: len(looks(emulator)) > 5)

    assert set(looks(emulator)) == {"job-0", "job-1"}


def test_a_job_that_the_listing_lacks_is_asked_for_by_name(
    connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    for number in range(3):
        submit(connection, f"job-{number}", run_1="")
    submit(connection, "untagged")
    watched = [watch(monitor, name, tag="run_1") for name in ("job-0", "job-1", "job-2", "untagged")]

    eventually(lambda: all(job.status == "Running" for job in watched))


def test_all_jobs_of_a_long_listing_are_seen(
    emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    emulator.context.settings.page_size = 2
    for number in range(7):
        submit(connection, f"job-{number}", run_1="")
    watched = [watch(monitor, f"job-{number}", tag="run_1") for number in range(7)]

    eventually(lambda: all(job.status == "Running" for job in watched))
    before = len(looks(emulator))
    eventually(lambda: len(looks(emulator)) > before + 8)

    assert set(looks(emulator)[before:]) == {"jobs"}


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "body": SLOW_DOWN},
        {"status": 429, "body": SLOW_DOWN, "headers": {"Retry-After": "20"}},
        {"status": 500},
        {"status": 503},
        {"status": 404, "times": 2},  # a part of Azure that has not heard of the job yet
        {"reset": True},
    ],
    ids=str,
)
def test_the_end_is_noticed_after_faults_that_pass(
    fault: dict[str, Any], emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    submit(connection, "job")
    arm(emulator, **{"times": 4, **fault})

    watched = watch(monitor, "job")
    eventually(lambda: watched.status == "Running")
    jobs_of(emulator)["job"].status = "Completed"

    assert watched.wait(A_LONG_TIME)
    assert (watched.status, watched.error) == ("Completed", None)


def test_an_azure_outage_beyond_the_limit_is_an_error_with_the_way_back_to_the_job(
    emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    submit(connection, "job")
    arm(emulator, status=429, body=SLOW_DOWN)

    watched = watch(monitor, "job", minutes=1)

    assert watched.wait(A_LONG_TIME)
    told = str(watched.error)
    assert told.startswith("Failed to watch the job `job` in the Azure ML workspace `emulator`")
    assert "Azure: (TooManyRequests) Slow down." in told
    assert "To wait for it: zenml-azureml jobs wait job" in told
    assert "To cancel it manually: az ml job cancel --name job --workspace-name emulator" in told
    tries = len(looks(emulator))
    assert 5 <= tries <= 12, tries  # about 1, 2, 4, 8, 16, 30 seconds, and a last one when the minute is over


@pytest.mark.parametrize(
    ("status", "code", "tries"),
    [(403, "AuthorizationFailed", 1), (404, "ResourceNotFound", 1), (404, "UserError", 3)],
    ids=["access lost", "workspace deleted", "job gone"],
)
def test_what_cannot_pass_ends_the_waiting_at_once(
    status: int, code: str, tries: int, emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    submit(connection, "job")
    arm(emulator, status=status, body={"error": {"code": code, "message": "It is over."}})

    watched = watch(monitor, "job")

    assert watched.wait(A_LONG_TIME)
    assert f"Azure: ({code}) It is over." in str(watched.error)
    assert len(looks(emulator)) == tries


@pytest.mark.parametrize("status", [401, 403, 502])
def test_a_private_network_ends_the_waiting_at_once_whatever_the_status(
    status: int, emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    submit(connection, "job")
    message = "Access to workspace was denied based on workspace private link configuration."
    arm(emulator, status=status, body={"error": {"code": "UserError", "message": message}})

    watched = watch(monitor, "job")

    assert watched.wait(A_LONG_TIME)
    assert f"Azure: (UserError) {message}" in str(watched.error)
    assert "Send the request from inside the network" in str(watched.error)
    assert "The job may still run. To wait for it: zenml-azureml jobs wait job" in str(watched.error)
    assert len(looks(emulator)) == 1


def test_a_sign_in_to_another_tenant_is_waited_for_because_its_user_may_sign_in_again(
    emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    submit(connection, "job")
    tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
    message = (
        f"The access token is from the wrong issuer 'x'. It must match the tenant 'https://sts.windows.net/{tenant}/'"
    )
    body = {"error": {"code": "InvalidAuthenticationTokenTenant", "message": message}}
    arm(emulator, status=401, body=body, times=6)
    watched = watch(monitor, "job")
    eventually(lambda: watched.status == "Running")

    assert watched.error is None
    assert f"az login --tenant {tenant}" in caplog.text


def test_a_log_that_is_refused_for_good_says_what_helps(
    emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    submit(connection, "job")
    message = "Access to workspace was denied based on workspace private link configuration."
    arm(emulator, path="/history/", status=502, body={"error": {"code": "UserError", "message": message}})
    watched = watch(monitor, "job")
    eventually(lambda: watched.status == "Running")

    jobs_of(emulator)["job"].status = "Completed"

    assert watched.wait(A_LONG_TIME)
    assert watched.error is None
    assert (
        f"The log of the Azure ML job `job` cannot be read: (UserError) {message} Send the request from" in caplog.text
    )


def test_a_log_that_cannot_be_read_does_not_hold_up_the_end(
    emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    submit(connection, "job")
    arm(emulator, path="/history/", status=403, body={"error": {"code": "Forbidden", "message": "No."}})
    watched = watch(monitor, "job")
    eventually(lambda: watched.status == "Running")

    jobs_of(emulator)["job"].status = "Completed"

    assert watched.wait(A_LONG_TIME)
    assert watched.error is None
    assert "The log of the Azure ML job `job` cannot be read: (Forbidden) No." in caplog.text


def test_a_log_that_cannot_be_read_for_a_while_is_read_in_the_end(
    emulator: Emulator, connection: WorkspaceConnection, monitor: JobMonitor
) -> None:
    submit(connection, "job")
    lines: list[str] = []
    options = WatchOptions(tag="", patience=timedelta(minutes=30), on_line=lines.append)
    arm(emulator, path="/user_logs/", status=503, times=3)
    watched = monitor.watch("job", options)
    eventually(lambda: watched.status == "Running")

    jobs_of(emulator)["job"].status = "Completed"

    assert watched.wait(A_LONG_TIME)
    assert lines == ["simulated line 1 of 1"]


def test_a_cancel_whose_answer_is_cut_off_is_repeated(
    connection: WorkspaceConnection, emulator: Emulator, credential: ClientSecretCredential
) -> None:
    submit(connection, "job")
    fault = {"method": "POST", "path": "/cancel", "truncated": True, "times": 1}
    Arm(emulator).call("POST", "/_emulator/faults", fault)

    assert Workspace(connection.address, lambda: credential, FastTime()).cancel("job")

    (job,) = emulator.context.store.workspaces[0].jobs.values()
    eventually(lambda: job.status == "Canceled")
    cancels = [asked for asked in requests_of(emulator) if asked["path"].endswith("/cancel")]
    assert len(cancels) == 2


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_cancel_that_azure_refuses_is_an_error_unless_the_job_has_ended(
    has_ended: bool, connection: WorkspaceConnection, emulator: Emulator, credential: ClientSecretCredential
) -> None:
    emulator.context.settings.simulated_seconds = 3600
    submit(connection, "job")
    if has_ended:
        jobs_of(emulator)["job"].status = "Completed"
    refusal = {"error": {"code": "UserError", "message": "No."}}
    fault = {"method": "POST", "path": "/cancel", "status": 400, "body": refusal}
    Arm(emulator).call("POST", "/_emulator/faults", fault)
    workspace = Workspace(connection.address, lambda: credential, FastTime())

    if has_ended:
        assert workspace.cancel("job")
    else:
        with pytest.raises(AzureMLError, match="az ml job cancel --name job"):
            workspace.cancel("job")
