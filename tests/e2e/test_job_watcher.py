"""Jobs that end themselves when no process is left that could end them: with a real ZenML server and real jobs."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contract.waiting import eventually
from tests.e2e import parallel_orchestrator, shared_folder_store
from tests.e2e.conftest import Project, azure_variables, zenml_variables
from tests.e2e.killed import azureml, jobs_of
from tests.e2e.test_remote_server import REGISTER_STACK
from tests.e2e.test_secrets import every_log
from tests.e2e.warm import Process
from tests.e2e.zenml_server import ZenMLServer, zenml_server
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.runtimes.base import Runtime
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def runtime_of_jobs() -> Runtime:
    """The watcher, and what it watches, are those of a Python of its own."""
    return ProcessRuntime()


PIPELINE = """
import os, sys, time
from pathlib import Path
from zenml.enums import ExecutionMode

FOLDER = Path({folder!r})
WATCHED = {{
    "stop_check_seconds": 0.5,
    "environment_variables": {{"PYTHONPATH": {folder!r}}},
    **{more!r},
}}
ON_AZURE = {{"step_operator": AzureMLStepOperatorSettings(**WATCHED), **NO_BUILD}}

def hook(*_):
    print("HOOK BEGINS", flush=True)
    time.sleep(3)
    print("HOOK ENDS", flush=True)

@step(step_operator="azureml", settings=ON_AZURE)
def waiting() -> str:
    print("IN THE STEP", flush=True)
    while not (FOLDER / "go").exists():
        time.sleep(0.1)
    return "done"

@step(step_operator="azureml", settings=ON_AZURE, on_end=hook)
def hooked() -> str:
    return "done"

@step(step_operator="azureml", settings=ON_AZURE)
def failing() -> str:
    while "IN THE STEP" not in "".join(log.read_text() for log in Path({jobs!r}).rglob("std_log*.txt")):
        time.sleep(0.1)
    raise ValueError("no such sample")

{pipelines}

if __name__ == "__main__":
    {run}
    print("OVER", flush=True)
"""

STATIC = """
@pipeline(enable_cache=False, settings=NO_BUILD)
def static():
    waiting()
"""
DYNAMIC = """
@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[waiting])
def dynamic():
    waiting()
"""
NESTED = """
@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[waiting])
def child():
    waiting()

@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[waiting])
def parent():
    child()
"""
HOOKED = """
@pipeline(enable_cache=False, settings=NO_BUILD)
def static():
    hooked()
"""
RETRIED = """
from zenml.config.retry_config import StepRetryConfig

@pipeline(enable_cache=False, settings=NO_BUILD)
def static():
    waiting.with_options(retry=StepRetryConfig(max_retries=2, delay=1))()
"""
PARALLEL = """
@pipeline(enable_cache=False, settings=NO_BUILD, execution_mode=ExecutionMode.{mode})
def static():
    waiting()
    failing()
"""

PARALLEL_STACK = """
from zenml.client import Client
from zenml.enums import StackComponentType as Type

client = Client()
client.create_flavor("parallel_orchestrator.ParallelOrchestratorFlavor", Type.ORCHESTRATOR)
client.create_stack_component("parallel", "parallel", Type.ORCHESTRATOR, {})
names = {kind: components[0].id for kind, components in client.get_stack("stack").components.items()}
client.create_stack("parallel", {**names, Type.ORCHESTRATOR: "parallel"})
"""


@dataclass
class Team:
    """A project, its ZenML server and the emulator that its jobs run on."""

    project: Project
    server: ZenMLServer
    emulator: Emulator

    def start(self, pipelines: str, run: str = "static()", **more: Any) -> Process:
        """Start a pipeline."""
        stack = more.pop("stack", "stack")
        run = f"Client().activate_stack({stack!r}); {run}"
        jobs = str(self.emulator.context.folder / "jobs")
        folder = str(self.project.folder)
        script = PIPELINE.format(folder=folder, jobs=jobs, more=more, pipelines=pipelines, run=run)
        return self.project.start(script)

    def killed(self, pipelines: str, run: str = "static()", **more: Any) -> Job:
        """A job whose step runs, and whose orchestrator was killed."""
        client = self.start(pipelines, run, **more)
        try:
            eventually(lambda: "IN THE STEP" in every_log(self.emulator) or client.poll() is not None, seconds=180)
        finally:
            with suppress(ProcessLookupError):
                client.send_signal(signal.SIGKILL)
            output, _ = client.communicate()
        assert "IN THE STEP" in every_log(self.emulator), output
        (job,) = jobs_of(self.emulator)
        return job

    def step_run(self, job: Job) -> str:
        return job.name.removeprefix("zenml-")

    def run_of(self, job: Job) -> str:
        return str(job.properties["tags"]["zenml_run_id"])

    def polls(self, job: Job) -> int:
        """How often the job has asked about its step run."""
        return self.server.log.read_text().count(f"GET /api/v1/steps/{self.step_run(job)}?hydrate=false ")

    def polled(self, job: Job, times: int) -> None:
        """Wait until it has asked so many times more."""
        before = self.polls(job)
        eventually(lambda: self.polls(job) >= before + times or job.status != "Running", seconds=60)

    def status(self, path: str) -> str:
        return str(self.server.get(path, hydrate="false")["body"]["status"])

    def usage(self, job: Job) -> dict[str, Any]:
        """What the server knows of the use of a job."""
        step_run = self.server.get(f"steps/{self.step_run(job)}", hydrate="true")
        found: dict[str, Any] = step_run["metadata"]["run_metadata"].get("azureml_usage_node_0", {})
        return found

    def go(self) -> None:
        """Let the step return."""
        (self.project.folder / "go").touch()


@dataclass
class Served:
    """A ZenML server with stacks, which the tests share.

    Attributes:
        server: The server.
        folder: Where users have the modules of its flavors.
        variables: The environment of its clients.
    """

    server: ZenMLServer
    folder: Path
    variables: dict[str, str] = field(repr=False)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    shared = tmp_path_factory.mktemp("served")
    with zenml_server(shared / "server", Path(sys.executable)) as server:
        folder = shared / "project"
        folder.mkdir()
        for module in (shared_folder_store, parallel_orchestrator):
            source = Path(str(module.__file__))
            (folder / source.name).write_text(source.read_text())
        variables = {**zenml_variables(shared), **server.client_variables(), "PYTHONPATH": str(folder)}
        workspace = WorkspaceName()
        address = {
            "subscription_id": workspace.subscription_id,
            "resource_group": workspace.resource_group,
            "workspace_name": workspace.name,
        }
        server.register("components", name="azureml", flavor="azureml", type="step_operator", configuration=address)
        project = Project(folder, {**variables, "AZUREML_DEV_URL_MFE": "https://127.0.0.1:1"})
        project.succeed(REGISTER_STACK, str(shared / "artifacts"), prelude="")
        project.succeed(PARALLEL_STACK, prelude="")
        yield Served(server, folder, variables)


@pytest.fixture
def team(tmp_path: Path, served: Served, jobs: Emulator) -> Team:
    folder = tmp_path / "project"
    shutil.copytree(served.folder, folder)
    variables = {**served.variables, **azure_variables(jobs), "PYTHONPATH": str(folder)}
    return Team(Project(folder, variables), served.server, jobs)


def ended_itself(team: Team, job: Job, reason: str) -> None:
    """Check that a job has ended itself, and that everything says so."""
    eventually(lambda: job.status in ("Failed", "Completed", "Canceled"), seconds=60)
    assert job.status == "Failed"
    assert f"zenml-azureml: The step is over, so its job ends itself: {reason}." in every_log(team.emulator)
    shown = azureml(team.project, "jobs", "show", job.name)
    assert "Failed (it ended itself)" in shown.stdout
    assert f"was stopped: it ended itself, because its step was over on the ZenML server: {reason}." in shown.stdout
    assert "out of memory" not in shown.stdout
    as_json = json.loads(azureml(team.project, "jobs", "show", job.name, "--json").stdout)
    assert reason in as_json["failure"]["what"]
    assert len(jobs_of(team.emulator)) == 1


Change = Callable[[Team, Job], None]

#: What can happen to a static run whose orchestrator is gone, and what its job says then.
CHANGES: dict[str, tuple[Change, str]] = {
    "the run is stopped": (
        lambda team, job: team.server.update(f"runs/{team.run_of(job)}", status="stopping"),
        "its run is stopping",
    ),
    "the run is failed from outside": (
        lambda team, job: team.server.update(f"runs/{team.run_of(job)}", status="failed"),
        "its run is failed, and none of its steps is",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_job_without_an_orchestrator_ends_itself_when_its_step_is_over(team: Team, change: str) -> None:
    job = team.killed(STATIC)
    team.polled(job, 3)
    assert job.status == "Running"
    happen, reason = CHANGES[change]
    happen(team, job)

    ended_itself(team, job, reason)

    assert "/heartbeat" not in team.server.log.read_text()


@pytest.mark.parametrize("change", CHANGES)
def test_a_step_that_its_watcher_has_ended_is_not_submitted_again(team: Team, change: str) -> None:
    """Neither for its retries, nor at its fallback, nor as a preempted one: its orchestrator lives, and decides.

    A stopped run it may notice by itself before it sees how the job ended; a failed one only by the job.
    """
    client = team.start(RETRIED, job_tier="spot", max_preemptions=3, fallback=[{"job_tier": "standard"}])
    eventually(lambda: "IN THE STEP" in every_log(team.emulator) or client.poll() is not None, seconds=180)
    (job,) = jobs_of(team.emulator)
    client.send_signal(signal.SIGSTOP)  # so that the watcher is the first to notice
    try:
        happen, reason = CHANGES[change]
        happen(team, job)
        eventually(lambda: job.status != "Running", seconds=60)
    finally:
        client.send_signal(signal.SIGCONT)

    output, _ = client.communicate(timeout=120)

    assert "OVER" not in output
    messages = ["The Azure ML job of step `waiting` was stopped: it ended itself"]
    if change == "the run is stopped":
        messages.append("RunStoppedException: The pipeline run was stopped.")
    assert any(message in output for message in messages), output[-6000:]
    ended_itself(team, job, reason)  # the only one
    assert team.status(f"steps/{team.step_run(job)}") == "stopped"
    step_runs = team.server.get("steps", pipeline_run_id=team.run_of(job), hydrate="true")["items"]
    assert [step_run["body"]["version"] for step_run in step_runs] == [1]
    attempts = step_runs[0]["metadata"]["run_metadata"].get("azureml_attempts", [])
    assert [attempt.get("reason") for attempt in attempts] in ([], [None])
    assert "preempted" not in output.lower()


def test_a_job_that_has_merely_lost_its_orchestrator_runs_on_and_can_be_taken_over(team: Team) -> None:
    job = team.killed(STATIC)
    team.polled(job, 6)
    assert job.status == "Running"
    eventually(lambda: "memory" in team.usage(job), seconds=60)  # posted by the job, since no client is left
    team.go()

    waited = azureml(team.project, "jobs", "wait", job.name)

    assert "The step `waiting` is completed." in waited.stdout, waited.stdout + waited.stderr
    assert job.status == "Completed"
    assert "ends itself" not in every_log(team.emulator)


def test_a_finished_dynamic_run_ends_its_jobs(team: Team) -> None:
    job = team.killed(DYNAMIC, "dynamic()")
    team.polled(job, 3)
    assert job.status == "Running"
    team.server.update(f"runs/{team.run_of(job)}", status="failed")

    ended_itself(team, job, "its run is failed")


def test_a_run_whose_parent_was_stopped_ends_its_jobs(team: Team) -> None:
    job = team.killed(NESTED, "parent()")
    team.polled(job, 3)
    assert job.status == "Running"
    body = team.server.get(f"runs/{team.run_of(job)}", hydrate="false")["body"]
    parent = body["root_run_id"]
    assert parent != team.run_of(job)
    team.server.update(f"runs/{parent}", status="stopping")

    ended_itself(team, job, "the parent of its run is stopping")
    assert team.status(f"runs/{team.run_of(job)}") == "running"


def test_an_end_hook_that_takes_several_intervals_is_left_alone(team: Team) -> None:
    client = team.start(HOOKED)
    eventually(lambda: "HOOK BEGINS" in every_log(team.emulator) or client.poll() is not None, seconds=180)
    (job,) = jobs_of(team.emulator)
    polls = team.polls(job)

    output, _ = client.communicate(timeout=120)

    assert client.returncode == 0, output
    assert "HOOK ENDS" in every_log(team.emulator)
    assert team.polls(job) >= polls + 2  # while the server had the step's end, or its hook ran
    assert (job.status, team.status(f"steps/{team.step_run(job)}")) == ("Completed", "completed")


@pytest.mark.parametrize("mode", ["CONTINUE_ON_FAILURE", "STOP_ON_FAILURE", "FAIL_FAST"])
def test_the_sibling_of_a_failed_step(team: Team, mode: str) -> None:
    """It runs on, but for FAIL_FAST: the run is failed in each mode, as soon as one step is."""
    client = team.start(PARALLEL.format(mode=mode), stack="parallel")
    found: dict[str, Job] = {}

    def has_failed() -> bool:
        found.update({job.properties["tags"]["zenml_step"]: job for job in jobs_of(team.emulator)})
        if len(found) < 2:
            return client.poll() is not None
        return team.status(f"steps/{team.step_run(found['failing'])}") == "failed"

    eventually(has_failed, seconds=180)
    assert set(found) == {"waiting", "failing"}, client.communicate()
    sibling = found["waiting"]
    run_id = team.run_of(sibling)
    eventually(lambda: team.status(f"runs/{run_id}") == "failed", seconds=60)

    if mode == "FAIL_FAST":
        output, _ = client.communicate(timeout=120)
        reason = "its run is failed, and the execution mode is FAIL_FAST"
        assert "STEP StoppedStepError: The Azure ML job of step `waiting` was stopped: it ended itself" in output
        assert reason in output
        assert team.status(f"steps/{team.step_run(sibling)}") == "stopped"
        assert sibling.status == "Failed"
    else:
        team.polled(sibling, 5)
        assert sibling.status == "Running"
        team.go()
        client.communicate(timeout=120)
        assert sibling.status == "Completed"
        assert team.status(f"steps/{team.step_run(sibling)}") == "completed"
    assert len(jobs_of(team.emulator)) == 2


def test_the_ranks_of_a_node_end_together(team: Team) -> None:
    job = team.killed(STATIC, distribution={"type": "pytorch", "process_count_per_instance": 2})
    team.polled(job, 3)
    assert job.status == "Running"
    team.server.update(f"runs/{team.run_of(job)}", status="stopping")

    ended_itself(team, job, "its run is stopping")
