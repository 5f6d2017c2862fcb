"""Looks at jobs by a listing: how many pages are read."""

from __future__ import annotations

import pytest
from azure.core.credentials import TokenCredential

from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.poller import get_status_of_one, list_statuses
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.job_views import complete

PAGE = 20


@pytest.fixture
def connection(emulator: Emulator, credential: TokenCredential) -> WorkspaceConnection:
    """A workspace with 100 jobs of one run, the newest of them `job-99`, and 2000 finished ones of another."""
    workspace = emulator.context.store.workspaces[0]
    for tag, number in (("yesterday", 2000), ("run", 100)):
        for index in range(number):
            name = f"{'job' if tag == 'run' else tag}-{index}"
            sent = {"command": "true", "environmentId": "azureml:env:1", "tags": {tag: ""}}
            job = Job(name, complete(sent, name, workspace), emulator.context.clock.now(), emulator.context.folder)
            job.status = "Running" if tag == "run" else "Completed"
            workspace.add(job)
    place = WorkspaceName()
    address = WorkspaceAddress(place.subscription_id, place.resource_group, place.name)
    return WorkspaceConnection(address, lambda: credential)


def seen(connection: WorkspaceConnection, *numbers: int) -> tuple[set[str], int]:
    found: list[JobSnapshot] = []
    requests = list_statuses(connection, "run", [f"job-{number}" for number in numbers], found.append)
    assert {job.status for job in found} <= {"Running"}
    return {job.name for job in found}, requests


def test_the_newest_jobs_take_one_page(emulator: Emulator, connection: WorkspaceConnection) -> None:
    assert seen(connection, *range(80, 100)) == ({f"job-{number}" for number in range(80, 100)}, 1)

    listings = [entry for entry in requests_of(emulator) if entry["path"].endswith("/jobs")]
    assert len(listings) == 1
    assert "tag=run" in listings[0]["query"]


def test_all_jobs_of_a_run_take_as_many_pages_as_they_fill(connection: WorkspaceConnection) -> None:
    assert seen(connection, *range(100)) == ({f"job-{number}" for number in range(100)}, 100 // PAGE)


def test_pages_are_read_until_the_last_job_that_is_wanted(connection: WorkspaceConnection) -> None:
    assert seen(connection, 99, 65, 62, 61) == ({"job-99", "job-65", "job-62", "job-61"}, 2)


def test_a_straggler_is_left_to_a_request_of_its_own(connection: WorkspaceConnection) -> None:
    """One page without it costs as much as asking for it by name."""
    found, requests = seen(connection, *range(80, 100), 0)

    assert "job-0" not in found
    assert requests == 2


def test_jobs_that_are_not_there_are_not_looked_for_on_every_page(connection: WorkspaceConnection) -> None:
    assert seen(connection, 99, 1000, 1001) == ({"job-99"}, 3)


def test_an_archived_job_is_seen(emulator: Emulator, connection: WorkspaceConnection) -> None:
    """Studio archives jobs that run, too."""
    arm = Arm(emulator)
    sent = arm.call("GET", "jobs/job-99").body["properties"]
    assert arm.call("PUT", "jobs/job-99", {"properties": {**sent, "isArchived": True}}).status == 200

    assert seen(connection, 99) == ({"job-99"}, 1)


def test_both_ways_to_look_show_the_same(connection: WorkspaceConnection) -> None:
    found: list[JobSnapshot] = []
    list_statuses(connection, "run", ["job-99"], found.append)

    by_name = get_status_of_one(connection, "job-99")

    # But for the tenant, which the SDK adds.
    assert by_name.studio_url.startswith(found[0].studio_url)
    assert (by_name.name, by_name.status, by_name.compute) == (found[0].name, found[0].status, found[0].compute)
