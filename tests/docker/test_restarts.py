"""A static pipeline whose orchestrator is a container that the engine starts again after `kill -9`."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.contract.waiting import eventually
from tests.docker.run_in_containers import RunInContainers
from zenml_azureml.emulator.local.keys import stored_keys

pytestmark = pytest.mark.timeout(900)


def assert_one_after_the_other(jobs: list[Any]) -> None:
    first, second = jobs
    assert (first.status, second.status) == ("Canceled", "Running")
    assert first.properties["EndTimeUtc"] <= second.creation_context.created_at.strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize("killed", ["while its job runs", "at the PUT"])
def test_with_retries_the_next_process_ends_the_job_before_it_submits_one(
    in_containers: RunInContainers, killed: str
) -> None:
    emulator = in_containers.team.emulator
    if killed == "at the PUT":
        fault: dict[str, str | int] = {"method": "PUT", "path": "/jobs/", "delay": 3600}
        url, keys = f"{emulator.base_url}/_emulator/faults", stored_keys(emulator.state)
        answer = requests.post(url, json=fault, headers=keys.admin_headers, verify=str(emulator.ca_bundle), timeout=10)
        assert answer.ok, answer.text
    client = in_containers.start("restarted_with_retries")
    try:
        eventually(lambda: in_containers.is_running(1), seconds=400)

        in_containers.kill_orchestrator()

        eventually(lambda: in_containers.is_running(2), seconds=200)
        assert_one_after_the_other(in_containers.jobs())
    finally:
        client.kill()
        client.wait()


def test_without_retries_the_job_that_is_left_is_found_and_cancelled(in_containers: RunInContainers) -> None:
    client = in_containers.start("restarted_without_retries")
    try:
        eventually(lambda: in_containers.is_running(1), seconds=400)

        in_containers.kill_orchestrator()

        output, _ = client.communicate(timeout=200)
    finally:
        client.kill()
        client.wait()
    assert client.returncode != 0, output
    (job,) = in_containers.jobs()
    row = in_containers.listed()[job.name]
    assert row["orphan"] is True, row
    assert row["reason"] == "its run is failed, although none of its steps is"

    done = in_containers.team.project.azureml("jobs", "cancel", "--orphans", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = in_containers.jobs()
    assert job.status == "Canceled"
