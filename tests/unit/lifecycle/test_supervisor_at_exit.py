"""Jobs that are guarded when the process ends are ended then; in a process of its own, which really ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e import warm

SCRIPT = """
from types import SimpleNamespace
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.lifecycle.execution import Guard
from zenml_azureml.lifecycle.supervisor import RunSupervisor

class Controller:
    def stop(self, steps, reason):
        print("ENDED", [step.id for step in steps], reason, flush=True)

class Executions:
    steps = {{}}

    def guarded(self, *guards):
        return [step for step in self.steps.values() if step.guard in (guards or set(Guard) - {{Guard.NONE}})]

def guard(number, reason=Guard.EXIT):
    Executions.steps[number] = SimpleNamespace(id=number, run_id=7, guard=reason)

guard(1)
supervisor = RunSupervisor(Executions(), Controller(), SYSTEM_TIME)
supervisor.watch()
{work}
"""

AT_EXIT = "the process that ran the pipeline has ended"


def ended(work: str, folder: Path) -> list[str]:
    """What a process prints that guards the step 1 until its exit, and does something else before that."""
    program = folder / "program.py"
    program.write_text(SCRIPT.format(work=work))
    environment = {**os.environ, "ZENML_CONFIG_PATH": str(folder / "zenml"), "ZENML_ANALYTICS_OPT_IN": "false"}
    done = warm.run([str(program)], environment, folder)
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("ENDED")]


@pytest.mark.parametrize(
    ("work", "jobs"),
    [
        pytest.param("", "[1]", id="one"),
        pytest.param("raise SystemExit(1)", "[1]", id="by an exception"),
        pytest.param("guard(2)", "[1, 2]", id="several"),
        pytest.param("guard(2, Guard.RUN)", "[1, 2]", id="one that no caller waits for"),
        pytest.param("guard(2); guard(2, Guard.NONE)", "[1]", id="another one released"),
    ],
)
def test_jobs_that_are_guarded_are_ended_at_exit(work: str, jobs: str, tmp_path: Path) -> None:
    assert ended(work, tmp_path) == [f"ENDED {jobs} {AT_EXIT}"]


def test_a_job_that_is_released_is_left_alone(tmp_path: Path) -> None:
    assert ended("guard(1, Guard.NONE)", tmp_path) == []


def test_jobs_are_ended_at_exit_although_nothing_else_refers_to_their_supervisor(tmp_path: Path) -> None:
    assert ended("del supervisor", tmp_path) == [f"ENDED [1] {AT_EXIT}"]
