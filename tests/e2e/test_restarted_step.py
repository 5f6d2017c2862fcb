"""A restarted orchestrator of a static pipeline: ZenML gives the step a new step run, and its first job has to end.

A container orchestrator runs each static step by ZenML's entrypoint, in a container that is started again when its
process was killed. Here the same entrypoint runs in a process; tests/docker has the containers.
"""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import STATIC, ask, jobs_of, killed, read_until
from tests.e2e.requests_of import requests_of
from tests.e2e.warm import Process
from zenml_azureml.emulator import Emulator

SNAPSHOT = """
import sys
from zenml.config.retry_config import StepRetryConfig
from zenml.enums import StackComponentType

RETRIES = StepRetryConfig(max_retries=2, delay=1) if "with retries" in sys.argv else None
# So that the entrypoint downloads no code, which it would do outside of this folder.
DOCKER = DockerSettings(
    skip_build=True,
    parent_image="example.azurecr.io/train:1",
    allow_download_from_artifact_store=False,
    allow_download_from_code_repository=False,
)
SETTINGS = {"step_operator": AzureMLStepOperatorSettings(max_cancel_minutes=2, max_unreachable_minutes=2)}

@pipeline(enable_cache=False, settings={"docker": DOCKER})
def static():
    for name in ("sleeper", "sleeper-2"):
        CommandStep(["sleep", "3600"], name=name, step_operator="azureml", retry=RETRIES, settings=SETTINGS)()

if __name__ == "__main__":
    client = Client()
    client.create_stack_component("docker", "local_docker", StackComponentType.ORCHESTRATOR, {})
    client.update_stack(component_updates={"orchestrator": ["docker"]})
    print("SNAPSHOT", static.create_snapshot("snapshot").id)
"""

#: What the container of a step runs, in time that passes 20 times as fast for the operator.
STEP = """
import os, sys, time
from zenml_azureml.emulator.runtimes.process import app_shim

app_shim.install(os.path.abspath("app"))  # the entrypoint writes to `/app`, which is the container's
from zenml.entrypoints.entrypoint import main
from zenml_azureml.step_operator import AzureMLStepOperator

class FastTime:
    def monotonic(self):
        return time.monotonic() * 20

    def sleep(self, seconds):
        time.sleep(seconds / 20)

    def wait(self, event, seconds):
        return event.wait(None if seconds is None else seconds / 20)

AzureMLStepOperator.time = FastTime()
source = "zenml.entrypoints.step_entrypoint_configuration.StepEntrypointConfiguration"
sys.argv[1:] = ["--entrypoint_config_source", source, "--snapshot_id", sys.argv[1], "--step_name", sys.argv[2]]
main()
"""

PRINT_VERSIONS = """
run = last_run()
steps = Client().list_run_steps(pipeline_run_id=run.id, name="sleeper", sort_by="asc:version", hydrate=True)
for found in steps:
    print("VERSION", found.version, found.status, found.exception_info and found.exception_info.message)
print("RUN", run.status)
"""


#: What `zenml pipeline runs stop` does on the server.
STOP = """
from zenml.enums import ExecutionStatus
from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update

publish_pipeline_run_status_update(last_run().id, ExecutionStatus.STOPPING)
"""


class Restarts:
    """The steps of one run, each in a process that can be killed and started again."""

    def __init__(self, project: Project, emulator: Emulator) -> None:
        emulator.context.settings.simulated_seconds = 3600
        self.project, self.emulator = project, emulator
        self.puts: list[tuple[str, dict[str, Any]]] = []
        self._started: list[Process] = []
        self._snapshot = ""

        def note(method: str, path: str, body: bytes) -> None:
            if method == "PUT" and "/jobs/" in path:
                self.puts.append((path, json.loads(body)))

        emulator.context.on_request = note

    def prepare(self, *options: str) -> None:
        output = self.project.succeed(SNAPSHOT, *options)
        self._snapshot = output.partition("SNAPSHOT ")[2].split()[0]

    def start(self, step: str = "sleeper", run: str = "first") -> Process:
        environment = {**self.project.environment, "ZENML_DOCKER_ORCHESTRATOR_RUN_ID": run}
        project = Project(self.project.folder, environment)
        process = project.start(STEP, self._snapshot, step, prelude="", name=f"step-{len(self._started)}.py")
        self._started.append(process)
        return process

    def start_and_await(self, step: str = "sleeper", run: str = "first") -> Process:
        process = self.start(step, run)
        read_until(process, f"[{step}] simulated line")
        return process

    def kill(self, process: Process) -> None:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def kill_all(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()

    def statuses(self, step: str = "sleeper") -> list[str]:
        return [job.status for job in jobs_of(self.emulator) if job.properties["tags"]["zenml_step"] == step]


@pytest.fixture
def restarts(simulated_project: Project, emulator: Emulator) -> Any:
    restarts = Restarts(simulated_project, emulator)
    yield restarts
    restarts.kill_all()


def assert_one_after_the_other(emulator: Emulator) -> None:
    first, second = (job for job in jobs_of(emulator) if job.properties["tags"]["zenml_step"] == "sleeper")
    assert first.ended_at
    assert first.ended_at <= second.created_at


def test_a_restarted_process_ends_the_job_of_the_killed_one_and_no_other(
    restarts: Restarts, emulator: Emulator
) -> None:
    restarts.prepare("with retries")
    restarts.start_and_await(run="another")
    restarts.start_and_await("sleeper-2")
    restarts.kill(restarts.start_and_await())

    output = read_until(restarts.start(), "[sleeper] simulated line")

    of_another_run, first, second = (
        job for job in jobs_of(emulator) if job.properties["tags"]["zenml_step"] == "sleeper"
    )
    assert [of_another_run.status, first.status, second.status] == ["Running", "Canceled", "Running"]
    assert first.ended_at
    assert first.ended_at <= second.created_at
    assert restarts.statuses("sleeper-2") == ["Running"]
    assert f"The Azure ML job `{first.name}` of an earlier step run of `sleeper` has not ended (Running)." in output
    assert "VERSION 1 retried None" in ask(restarts.project, PRINT_VERSIONS)


def test_a_job_that_was_made_while_its_process_was_killed_is_ended(restarts: Restarts, emulator: Emulator) -> None:
    restarts.prepare("with retries")
    Arm(emulator).call("POST", "/_emulator/faults", {"method": "PUT", "path": "/jobs/", "delay": 3600})
    process = restarts.start()
    eventually(lambda: jobs_of(emulator), seconds=120)
    restarts.kill(process)

    read_until(restarts.start(), "[sleeper] simulated line")

    assert restarts.statuses() == ["Canceled", "Running"]
    assert_one_after_the_other(emulator)


def test_a_job_whose_submit_is_still_under_way_is_ended_when_it_appears(restarts: Restarts, emulator: Emulator) -> None:
    restarts.prepare("with retries")
    arm = Arm(emulator)
    arm.call("POST", "/_emulator/faults", {"method": "PUT", "path": "/jobs/", "delay": 3600, "reset": True})
    process = restarts.start()
    eventually(lambda: restarts.puts, seconds=120)
    restarts.kill(process)
    assert jobs_of(emulator) == []

    process = restarts.start()
    read_until(process, "Looking for")
    path, body = restarts.puts[0]
    assert arm.call("PUT", path, body).status == 201  # Azure ML gets to the request of the killed process
    read_until(process, "[sleeper] simulated line")

    assert restarts.statuses() == ["Canceled", "Running"]
    assert_one_after_the_other(emulator)


@pytest.mark.parametrize("which", ["--orphans", pytest.param("--run", marks=pytest.mark.long)])
def test_without_retries_zenml_refuses_the_restart_and_the_job_is_found_by_the_commands(
    which: str, restarts: Restarts
) -> None:
    restarts.prepare()
    restarts.kill(restarts.start_and_await())

    output, _ = restarts.start().communicate(timeout=240)

    assert "EntityExistsError" in output
    assert restarts.statuses() == ["Running"]
    (row,) = listed(restarts.project)
    assert (row["orphan"], row["reason"]) == (False, None)  # which could be any other orchestrator's

    # What ZenML's client does when a container of its run has failed, or at Ctrl+C.
    ask(
        restarts.project,
        "from zenml.orchestrators.publish_utils import publish_failed_pipeline_run\n"
        "publish_failed_pipeline_run(last_run().id)",
    )
    (row,) = listed(restarts.project)
    assert row["orphan"] is True
    assert row["reason"] == "its run is failed, although none of its steps is"

    cancelled = restarts.project.azureml(
        "jobs", "cancel", *(["--orphans"] if which == "--orphans" else ["--run", row["run_id"]]), "--yes"
    )

    assert cancelled.returncode == 0, cancelled.stderr
    assert restarts.statuses() == ["Canceled"]
    told = ask(restarts.project, PRINT_VERSIONS)
    assert "VERSION 1 stopped" in told


def test_a_step_that_cannot_end_the_job_before_it_fails_and_submits_none(
    restarts: Restarts, emulator: Emulator
) -> None:
    restarts.prepare("with retries")
    restarts.kill(restarts.start_and_await())
    fault = {"method": "POST", "path": "/cancel$", "status": 202, "times": 100_000}
    Arm(emulator).call("POST", "/_emulator/faults", fault)

    output, _ = restarts.start().communicate(timeout=240)

    assert restarts.statuses() == ["Running"]
    assert len(restarts.puts) == 1
    (job,) = jobs_of(emulator)
    assert re.search(rf"the Azure ML job `{job.name}` of an earlier step run of it has not ended within 2 min", output)
    assert f"az ml job cancel --name {job.name} --workspace-name" in output
    assert f"az ml job cancel --name {job.name} --workspace-name" in ask(restarts.project, PRINT_VERSIONS)


@pytest.mark.parametrize("how", ["Ctrl+C", "runs stop"])
def test_an_interruption_while_the_job_before_is_ended_submits_none(
    how: str, restarts: Restarts, emulator: Emulator
) -> None:
    restarts.prepare("with retries")
    restarts.kill(restarts.start_and_await())
    fault = {"method": "POST", "path": "/cancel$", "status": 202, "times": 100_000}
    Arm(emulator).call("POST", "/_emulator/faults", fault)
    process = restarts.start()
    read_until(process, "The step is submitted when it has.")

    if how == "Ctrl+C":
        process.send_signal(signal.SIGINT)
    else:
        ask(restarts.project, STOP)

    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert len(restarts.puts) == 1
    (job,) = jobs_of(emulator)
    assert f"az ml job cancel --name {job.name} --workspace-name" in output


def test_a_retry_in_the_same_process_asks_nothing_about_the_job_before(restarts: Restarts, emulator: Emulator) -> None:
    restarts.prepare("with retries")
    emulator.context.settings.simulated_exit_code = 1
    emulator.context.settings.simulated_seconds = 0

    output, _ = restarts.start().communicate(timeout=240)

    assert "Failed to run step `sleeper` after 2 retries" in output
    assert restarts.statuses() == ["Failed"] * 3
    names = [job.name for job in jobs_of(emulator)]
    asked = [entry["path"].rpartition("/jobs/")[2] for entry in requests_of(emulator) if entry["method"] == "GET"]
    assert not {f"{name}-2" for name in names} & set(asked)
    assert "Looking for" not in output


def listed(project: Project) -> list[dict[str, Any]]:
    done = project.azureml("jobs", "list", "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_a_replayed_run_touches_nothing_of_the_run_before(simulated_project: Project, emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 3600
    killed(simulated_project, STATIC)

    replay = STATIC.replace("    static()\n", "    static.replay(pipeline_run=last_run().id)\n")
    client = simulated_project.start(replay)
    try:
        output = read_until(client, "[sleeper] simulated line")

        first, second = jobs_of(emulator)
        assert (first.status, second.status) == ("Running", "Running")
        assert first.properties["tags"]["zenml_run_id"] != second.properties["tags"]["zenml_run_id"]
        assert "of an earlier step run" not in output
    finally:
        client.kill()
        client.wait()
