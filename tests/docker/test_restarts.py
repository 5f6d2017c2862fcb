"""A static pipeline whose orchestrator is a container that the engine starts again after `kill -9`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from azure.ai.ml import MLClient

from docker import DockerClient
from tests.contract.waiting import eventually
from tests.docker.team import Team
from tests.docker.test_emulator import client_of, containers

pytestmark = pytest.mark.timeout(900)


class Restarts:
    """A team whose stack has the `local_docker` orchestrator, and the jobs of its newest run."""

    def __init__(self, team: Team, engine: DockerClient, ml_client: MLClient) -> None:
        self.team, self.engine, self.ml_client = team, engine, ml_client
        self._others = {job.name for job in ml_client.jobs.list()}

    def start(self, pipeline: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(self.team.client_environment.folder / "bin" / "zenml", "pipeline", "run", f"pipelines.{pipeline}"),
                *("--stack", "in_containers"),
            ],
            cwd=self.team.project.folder,
            env=self.team.project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def jobs(self) -> list[Any]:
        """The oldest first."""
        found = [job for job in self.ml_client.jobs.list() if job.name not in self._others]
        return sorted(found, key=lambda job: job.creation_context.created_at)

    def orchestrators(self) -> list[Any]:
        """The containers that orchestrate a step, which have no label of the emulator's."""
        jobs = {container.id for container in containers(self.engine)}
        everything = self.engine.containers.list(all=True)
        return [each for each in everything if each.id not in jobs and "--step_name" in each.attrs["Args"]]

    def kill_orchestrator(self) -> None:
        """Kill its process from outside: the engine takes its own `docker kill` for the end that was wanted."""
        (container,) = self.orchestrators()
        os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)

    def listed(self) -> dict[str, Any]:
        done = self.team.project.azureml("jobs", "list", "--all", "--json")
        assert done.returncode == 0, done.stderr
        return {row["job"]: row for row in json.loads(done.stdout)}


@pytest.fixture
def restarts(a_team: Team, engine: DockerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restarts]:
    """The team with such a stack; no container of it outlives the test."""
    if "in_containers" not in a_team.zenml("stack", "list"):
        a_team.zenml("orchestrator", "register", "containers", "--flavor=local_docker")
        parts = ("-o", "containers", "-a", "blobs", "-i", "builder", "-c", "acr", "-s", "azureml")
        a_team.zenml("stack", "register", "in_containers", *parts)
    restarts = Restarts(a_team, engine, client_of(a_team.emulator, monkeypatch))
    yield restarts
    for container in restarts.orchestrators():
        container.remove(force=True)
    for job in restarts.jobs():
        if job.status not in ("Completed", "Failed", "Canceled"):
            restarts.ml_client.jobs.begin_cancel(job.name).result()


def is_running(restarts: Restarts, number: int) -> bool:
    return [job.status for job in restarts.jobs()][number - 1 : number] == ["Running"]


def assert_one_after_the_other(jobs: list[Any]) -> None:
    first, second = jobs
    assert (first.status, second.status) == ("Canceled", "Running")
    assert first.properties["EndTimeUtc"] <= second.creation_context.created_at.strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize("killed", ["while its job runs", "at the PUT"])
def test_with_retries_the_next_process_ends_the_job_before_it_submits_one(restarts: Restarts, killed: str) -> None:
    emulator = restarts.team.emulator
    if killed == "at the PUT":
        fault: dict[str, str | int] = {"method": "PUT", "path": "/jobs/", "delay": 3600}
        url = f"{emulator.base_url}/_emulator/faults"
        assert requests.post(url, json=fault, verify=str(emulator.ca_bundle), timeout=10).ok
    client = restarts.start("restarted_with_retries")
    try:
        eventually(lambda: is_running(restarts, 1), seconds=400)

        restarts.kill_orchestrator()

        eventually(lambda: is_running(restarts, 2), seconds=200)
        assert_one_after_the_other(restarts.jobs())
    finally:
        client.kill()
        client.wait()


def test_without_retries_the_job_that_is_left_is_found_and_cancelled(restarts: Restarts) -> None:
    client = restarts.start("restarted_without_retries")
    try:
        eventually(lambda: is_running(restarts, 1), seconds=400)

        restarts.kill_orchestrator()

        output, _ = client.communicate(timeout=200)
    finally:
        client.kill()
        client.wait()
    assert client.returncode != 0, output
    (job,) = restarts.jobs()
    row = restarts.listed()[job.name]
    assert row["orphan"] is True, row
    assert row["reason"] == "its run is failed, although none of its steps is"

    done = restarts.team.project.azureml("jobs", "cancel", "--orphans", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = restarts.jobs()
    assert job.status == "Canceled"
