"""A job that ends itself after Ctrl+C on the client of an orchestrator whose containers keep running."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from docker import DockerClient
from tests.contract.waiting import eventually
from tests.docker.run_in_containers import RunInContainers
from tests.docker.test_emulator import containers

pytestmark = pytest.mark.timeout(900)

REASON = "its run is failed, and none of its steps is"


def watcher_in(container: Any) -> int:
    """The watcher in the container of a job, by its number outside of it."""
    processes = container.top(ps_args="-eo pid,comm")["Processes"]
    (watcher,) = (int(pid) for pid, command in processes if command == "zenml-watcher")
    return watcher


@pytest.mark.weekly
def test_after_ctrl_c_on_the_client_the_job_ends_itself_and_no_container_submits_another(
    in_containers: RunInContainers, engine: DockerClient
) -> None:
    team = in_containers.team
    client = in_containers.start("interrupted")
    try:
        eventually(lambda: in_containers.is_running(1), seconds=400)
        (job,) = in_containers.jobs()
        eventually(lambda: "ready" in team.emulator_log(job.name), seconds=120)
        (container,) = containers(engine)
        watcher = watcher_in(container)
        os.kill(watcher, signal.SIGSTOP)  # so that the job is still there when the jobs are listed

        client.send_signal(signal.SIGINT)
        output, _ = client.communicate(timeout=120)
    finally:
        client.kill()
        client.wait()

    run = team.last_run("interrupted")
    assert (run.status, run.steps["watched"]["status"]) == ("failed", "running"), output
    assert [each.status for each in in_containers.orchestrators()] == ["running"]
    row = in_containers.listed()[job.name]
    assert (row["orphan"], row["reason"]) == (True, "its run is failed, although none of its steps is")
    assert in_containers.is_running(1)

    os.kill(watcher, signal.SIGCONT)

    eventually(lambda: not in_containers.is_running(1), seconds=60)
    assert f"zenml-azureml: The step is over, so its job ends itself: {REASON}." in team.emulator_log(job.name)
    shown = team.project.azureml("jobs", "show", job.name).stdout
    assert "Failed (it ended itself)" in shown
    assert f"it ended itself, because its step was over on the ZenML server: {REASON}." in shown
    # The container waits for the job, gives its reason, and is restarted; then the operator is called once more.
    eventually(lambda: [each.status for each in in_containers.orchestrators()] == ["exited"], seconds=240)
    (orchestrator,) = in_containers.orchestrators()
    assert orchestrator.attrs["RestartCount"] == 1
    said = " ".join(orchestrator.logs().decode().split())
    assert "StoppedStepError: The Azure ML job of step `watched` was stopped: it ended itself" in said
    assert "RunStoppedException: The step `watched` is not submitted again" in said, said
    run = team.last_run("interrupted")
    assert (run.status, run.steps["watched"]["status"]) == ("failed", "stopped")
    assert [each.status for each in in_containers.jobs()] == ["Failed"]
