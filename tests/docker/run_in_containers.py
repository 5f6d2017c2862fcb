"""Runs whose steps are orchestrated by containers of their own, by ZenML's `local_docker` orchestrator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

from azure.ai.ml import MLClient

from docker import DockerClient
from tests.docker.team import Team
from tests.docker.test_emulator import containers


class RunInContainers:
    """A run of a team whose stack has such an orchestrator, and the jobs of that run."""

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

    def is_running(self, number: int) -> bool:
        """True if the job with this number, from 1, runs."""
        return [job.status for job in self.jobs()][number - 1 : number] == ["Running"]

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

    def end(self) -> None:
        """Remove the containers and cancel the jobs that are left."""
        for container in self.orchestrators():
            container.remove(force=True)
        for job in self.jobs():
            if job.status not in ("Completed", "Failed", "Canceled"):
                self.ml_client.jobs.begin_cancel(job.name).result()
