"""Every cause of failure is told as what it is: the exact words, in the client's output and on the server.

The scenarios that bring the failures about name who has told of Azure's words (emulator/scenarios/catalogue.py).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Project
from tests.e2e.test_failures import jobs_of, shown_for, without_log
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.scenarios.armed import Armed
from zenml_azureml.emulator.scenarios.catalogue import SCENARIOS
from zenml_azureml.emulator.scenarios.rules import ScenarioRule

PIPELINE = """
import json, sys

@step
def python_step() -> None: ...

@pipeline(enable_cache=False, settings=NO_BUILD, execution_mode="continue_on_failure")
def failing():
    for name, (is_command, settings) in json.loads(sys.argv[1]).items():
        asked = {"step_operator": AzureMLStepOperatorSettings(**settings)}
        if is_command:
            CommandStep(["python", "train.py"], name=name, step_operator="azureml", settings=asked)()
        else:
            python_step.with_options(step_operator="azureml", settings=asked)(id=name)

def told_by_the_server(run):
    for name, step_run in run.steps.items():
        info = step_run.exception_info
        yield name, {"status": step_run.status, "message": info and info.message}

if __name__ == "__main__":
    try:
        failing()
    except RuntimeError as error:
        print("RAISED", error)
    print(json.dumps(dict(told_by_the_server(last_run()))))
"""


@dataclass(frozen=True)
class Case:
    """A step whose job meets a scenario.

    What is to be told of it is in `causes/`, with angle brackets for what differs from run to run.
    """

    succeeds: bool = False
    is_command: bool = True
    settings: dict[str, Any] = field(default_factory=dict)


CLUSTER = {"mode": "compute-cluster", "compute_name": "nodes"}

CASES = {
    "image-pull-refused": Case(),
    "image-architecture": Case(),
    "no-such-compute": Case(settings=CLUSTER),
    "compute-failed": Case(settings=CLUSTER),
    "quota": Case(),
    "no-capacity": Case(),
    "never-started": Case(settings={"queue_timeout_minutes": 0.02}),
    "out-of-memory": Case(),
    "disk-full": Case(),
    "preempted": Case(settings={**CLUSTER, "max_preemptions": 0}),
    "preempted-restarted": Case(succeeds=True),
    "node-failure": Case(),
    "timeout": Case(settings={"timeout_minutes": 90}),
    "user-error": Case(),
    "exit-code": Case(is_command=False),
    "early-exit": Case(is_command=False),
}


def test_each_scenario_has_a_case() -> None:
    assert set(CASES) == set(SCENARIOS)


def test_each_cause_is_in_the_output_and_on_the_server(
    simulated_project: Project, emulator: Emulator, subtests: pytest.Subtests
) -> None:
    for name in CASES:
        emulator.context.scenarios.armed.append(Armed(ScenarioRule(name=name, jobs=f"^zenml_step={name}$")))
    asked = {name: (case.is_command, case.settings) for name, case in CASES.items()}

    output = simulated_project.succeed(PIPELINE, json.dumps(asked))

    # Not the whole of its line: from Python 3.12 on, OpenTelemetry prints an error at the end of the process.
    told, _ = json.JSONDecoder().raw_decode(next(line for line in output.splitlines() if line.startswith("{")))
    assert [armed.fired for armed in emulator.context.scenarios.armed] == [1] * len(CASES)
    for name, case in CASES.items():
        with subtests.test(name):
            if case.succeeds:
                assert told[name] == {"status": "completed", "message": None}
                assert len(jobs_of(emulator, name)) == 1  # Azure has restarted it: no other one was submitted
                continue
            expected = (Path(__file__).parent / "causes" / f"{name}.txt").read_text().strip()
            assert told[name]["status"] == "failed"
            assert masked(told[name]["message"], name, emulator) == expected
            assert masked(shown_for(name, output), name, emulator) == without_log(expected)


def masked(message: str, step: str, emulator: Emulator) -> str:
    """A message without what differs from run to run."""
    (job,) = jobs_of(emulator, step)
    text = re.sub(rf"Studio: https://\S+/runs/{job.name}\?wsid=\S+", "Studio: <link>", message.strip())
    text = re.sub(r"\b[0-9a-f]{32}\b", "<container>", text.replace(job.name, "<job>"))
    return re.sub(r"after \d+ s", "after <seconds> s", text)
