"""A restarted orchestrator of a static pipeline: ZenML gives the step a new step run, and its first job must end.

A container orchestrator runs each static step by ZenML's entrypoint, in a process of its own that it starts again when
it is killed. So it happens here, without the containers: tests/docker has them.
"""

from __future__ import annotations

import signal

import pytest

from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import database, jobs_of, read_until
from tests.e2e.warm import Process
from zenml_azureml.emulator import Emulator

SNAPSHOT = """
from zenml.config.retry_config import StepRetryConfig
from zenml.enums import StackComponentType

RETRIES = {retry}

@pipeline(enable_cache=False, settings=NO_BUILD)
def static():
    CommandStep(["sleep", "3600"], name="sleeper", step_operator="azureml", retry=RETRIES)()
    CommandStep(["sleep", "3600"], name="sleeper-2", step_operator="azureml", retry=RETRIES)()

if __name__ == "__main__":
    client = Client()
    client.create_stack_component("docker", "local_docker", StackComponentType.ORCHESTRATOR, {{}})
    client.update_stack(component_updates={{"orchestrator": ["docker"]}})
    print("SNAPSHOT", static.create_snapshot("snapshot").id)
"""

#: What the container of a step runs.
STEP = """
import sys
from zenml.entrypoints.entrypoint import main

source = "zenml.entrypoints.step_entrypoint_configuration.StepEntrypointConfiguration"
sys.argv[1:] = ["--entrypoint_config_source", source, "--snapshot_id", sys.argv[1], "--step_name", sys.argv[2]]
main()
"""


def snapshot(project: Project, retry: str) -> str:
    output = project.succeed(SNAPSHOT.format(retry=retry))
    return output.partition("SNAPSHOT ")[2].split()[0]


def start_step(project: Project, snapshot_id: str, step: str = "sleeper") -> Process:
    project.environment["ZENML_DOCKER_ORCHESTRATOR_RUN_ID"] = f"run of {snapshot_id}"
    return project.start(STEP, snapshot_id, step, prelude="", name=f"{step}.py")


def kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_it(simulated_project: Project, emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 3600
    snapshot_id = snapshot(simulated_project, "StepRetryConfig(max_retries=2, delay=1)")
    process = start_step(simulated_project, snapshot_id)
    print(read_until(process, "[sleeper] simulated line"))
    kill(process)
    process = start_step(simulated_project, snapshot_id)
    try:
        print(read_until(process, "[sleeper] simulated line"))
    finally:
        kill(process)
    print([(job.name, job.status) for job in jobs_of(emulator)])
    assert 0
