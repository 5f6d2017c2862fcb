"""Jobs that are forked from a warm Python are jobs as all others."""

from __future__ import annotations

import psutil

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import jobs_of, read_until
from zenml_azureml.emulator import Emulator

ASLEEP = """
@step(step_operator="azureml")
def sleeper() -> None:
    import os, subprocess, sys, time
    child = subprocess.Popen(["sleep", "3600"])
    print("WARM", "tests.e2e.warm_job_server" in sys.modules, "OF", os.getpid(), child.pid, "IN", os.getcwd())
    time.sleep(3600)

@pipeline(enable_cache=False, settings=NO_BUILD)
def sleeping():
    sleeper()

if __name__ == "__main__":
    sleeping()
"""


def test_a_warm_job_and_what_it_has_started_end_when_the_job_is_cancelled(project: Project, jobs: Emulator) -> None:
    client = project.start(ASLEEP)
    said = read_until(client, "[sleeper] WARM True OF")
    (job,) = jobs_of(jobs)
    pids = [int(word) for word in said.rpartition(" OF ")[2].split()[:2]]
    assert f" IN {job.folder.resolve()}/" in said

    Arm(jobs).call("POST", f"jobs/{job.name}/cancel")
    client.communicate(timeout=240)

    assert job.status == "Canceled"
    eventually(lambda: not any(map(psutil.pid_exists, pids)))
