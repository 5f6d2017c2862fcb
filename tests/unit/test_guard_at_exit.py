"""Jobs that are guarded when the process ends are ended then; in a Python of its own, which really ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from types import SimpleNamespace
from zenml_azureml.lifecycle.supervisor import RunSupervisor
from zenml_azureml.clock import SYSTEM_TIME

def end_jobs(step_runs, reason):
    print("ENDED", [step_run.id for step_run in step_runs], reason, flush=True)

def step(number):
    return SimpleNamespace(id=number, pipeline_run_id=7)

guard = RunSupervisor(end_jobs, SYSTEM_TIME)
guard.take(step(1), until_exit=True)
{work}
"""

AT_EXIT = "the process that ran the pipeline has ended"


def ended(work: str, folder: Path) -> list[str]:
    """What a process prints that guards the step 1 until its exit, and does something else before that."""
    script = SCRIPT.format(work=work)
    environment = {**os.environ, "ZENML_CONFIG_PATH": str(folder / "zenml"), "ZENML_ANALYTICS_OPT_IN": "false"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("ENDED")]


@pytest.mark.parametrize(
    ("work", "jobs"),
    [
        pytest.param("", "[1]", id="one"),
        pytest.param("raise SystemExit(1)", "[1]", id="by an exception"),
        pytest.param("guard.take(step(2), until_exit=True)", "[1, 2]", id="several"),
        pytest.param("guard.clean_up(1)", "[1]", id="cleaned up after, while its ending was broken off"),
        pytest.param("guard.take(step(2), dynamic=False); guard.clean_up(2)", "[1]", id="another one cleaned up after"),
        pytest.param("guard.take(step(2), until_exit=True); guard.release(2)", "[1]", id="another one released"),
    ],
)
def test_jobs_that_are_guarded_are_ended_at_exit(work: str, jobs: str, tmp_path: Path) -> None:
    assert ended(work, tmp_path) == [f"ENDED {jobs} {AT_EXIT}"]


def test_a_job_that_is_released_is_left_alone(tmp_path: Path) -> None:
    assert ended("guard.release(1)", tmp_path) == []


def test_jobs_are_ended_at_exit_although_nothing_else_refers_to_their_guard(tmp_path: Path) -> None:
    assert ended("del guard", tmp_path) == [f"ENDED [1] {AT_EXIT}"]
