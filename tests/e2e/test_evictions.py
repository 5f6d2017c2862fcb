"""Steps whose jobs are preempted, get no machines or wait for too long: they go on, from their checkpoints."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.killed import jobs_of
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.scenarios.armed import Armed
from zenml_azureml.emulator.scenarios.rules import ScenarioRule

pytestmark = pytest.mark.long

TRAINING = """
import json, time

@step(step_operator="azureml", settings={"step_operator": AzureMLStepOperatorSettings(
    job_tier="spot", fallback=[{"job_tier": "standard"}]
)})
def train() -> int:
    from zenml_azureml import checkpoint_dir

    saved = checkpoint_dir() / "epoch"
    if not saved.exists():
        saved.write_text("20")
        time.sleep(600)  # until Azure takes the node away
    print("going on from", saved.read_text())
    return int(saved.read_text()) + 22

@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[train])
def training():
    train()

if __name__ == "__main__":
    training()
    run = last_run()
    step_run = run.steps["train"]
    print("RESULT", run.status, step_run.status, step_run.outputs["output"][0].load())
    print("METADATA", json.dumps({name: str(value) for name, value in step_run.run_metadata.items()}))
    print("ATTEMPTS", json.dumps(step_run.run_metadata["azureml_attempts"]))
"""


def test_a_preempted_step_resumes_from_its_checkpoint_on_dedicated_capacity(project: Project, jobs: Emulator) -> None:
    project.environment["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "0.5"
    client = project.start(TRAINING)
    eventually(lambda: checkpoints(jobs) or client.poll() is not None, seconds=120)
    Arm(jobs).call("POST", "/_emulator/scenario", {"name": "preempted", "now": True})
    output, _ = client.communicate(timeout=240)

    assert client.wait() == 0, output
    assert "RESULT completed completed 42" in output
    assert "[train] going on from 20" in output
    first, second = jobs_of(jobs)
    assert [first.status, second.status] == ["Failed", "Completed"]
    assert [tier(first), tier(second)] == ["Spot", "Standard"]
    assert second.name == f"{first.name}-2"
    assert first.ended_at
    assert first.ended_at <= second.created_at  # never two at once
    assert second.properties["tags"]["zenml_previous_job"] == first.name
    assert second.properties["tags"]["zenml_attempt"] == "2"
    assert second.properties["tags"]["zenml_step_run_id"] == first.properties["tags"]["zenml_step_run_id"]
    assert second.properties["outputs"]["checkpoints"] == first.properties["outputs"]["checkpoints"]
    metadata = told(output, "METADATA")
    assert metadata["azureml_job_name"] == second.name
    assert second.name in metadata["azureml_studio_url"]
    kept = told(output, "ATTEMPTS")
    assert [(attempt["job"], attempt["target"], attempt.get("reason")) for attempt in kept] == [
        (first.name, 0, "preempted"),
        (second.name, 1, None),
    ]
    assert "pre-empted" in kept[0]["says"]
    assert all(attempt["started"] < attempt["ended"] for attempt in kept)


PLACES = """
import json, sys

@pipeline(enable_cache=False, settings=NO_BUILD, execution_mode="continue_on_failure")
def placed():
    for name, settings in json.loads(sys.argv[1]).items():
        asked = {"step_operator": AzureMLStepOperatorSettings(**settings)}
        CommandStep(["true"], name=name, step_operator="azureml", settings=asked)()

if __name__ == "__main__":
    try:
        placed()
    except RuntimeError as error:
        print("RAISED", error)
    print("RUN", last_run().id)
    for name, step_run in last_run().steps.items():
        info = step_run.exception_info
        kept = step_run.run_metadata.get("azureml_attempts")
        told = {"status": step_run.status, "attempts": kept, "message": info and info.message}
        told["cost"] = step_run.run_metadata.get("azureml_cost_usd")
        print("STEP", name, json.dumps(told))
"""

CLUSTER = {"mode": "compute-cluster", "compute_name": "elsewhere", "size": "Standard_DS3_v2", "location": "northeurope"}
SIZED = {"instance_type": "Standard_DS3_v2"}
HUGE = {"mode": "compute-cluster", "compute_name": "huge", "size": "Standard_D64s_v3", "instance_count": 20}

STEPS: dict[str, dict[str, Any]] = {
    # Waits in the queue for ever, is cancelled, and goes to another region's cluster.
    "waits": {"queue_timeout_minutes": 0.02, "fallback": [CLUSTER]},
    # Azure has no machines, twice.
    "nowhere": {**SIZED, "fallback": [{"instance_type": "Standard_DS12_v2"}]},
    # The quota is too small: told before anything is submitted.
    "quota": {**HUGE, "max_instances": 20, "fallback": [{"mode": "serverless", "instance_count": 1, **SIZED}]},
    # Preempted twice, and submitted again to where it was.
    "spot": {**SIZED, "job_tier": "spot"},
    "unlucky": {**SIZED, "job_tier": "spot", "max_preemptions": 1},
}


def test_steps_fall_back_to_the_next_target_and_report_all_attempts(
    simulated_project: Project, emulator: Emulator
) -> None:
    for name, step, times in (
        ("never-started", "waits", 1),
        ("no-capacity", "nowhere", 2),
        ("preempted", "spot", 2),
        ("preempted", "unlucky", 2),
    ):
        rule = ScenarioRule(name=name, jobs=f"^zenml_step={step}$", times=times)
        emulator.context.scenarios.armed.append(Armed(rule))

    # Besides, the answer to the submit of each second attempt is lost.
    lost = {"method": "PUT", "path": "/jobs/zenml-.{36}-2", "processed": True, "reset": True, "times": 9}
    Arm(emulator).call("POST", "/_emulator/faults", lost)

    output = simulated_project.succeed(PLACES, json.dumps(STEPS))

    steps = {
        line.split()[1]: json.loads(line.split(maxsplit=2)[2]) for line in output.splitlines() if line[:5] == "STEP "
    }
    assert {name: told["status"] for name, told in steps.items()} == {
        **{"waits": "completed", "nowhere": "failed", "quota": "completed", "spot": "completed", "unlucky": "failed"}
    }
    by_step: dict[str, list[Job]] = {}
    for job in jobs_of(emulator):
        by_step.setdefault(job.properties["tags"]["zenml_step"], []).append(job)

    assert [job.status for job in by_step["waits"]] == ["Canceled", "Completed"]
    assert by_step["waits"][1].properties["computeId"].endswith("/computes/elsewhere")
    told_of_waits = [(attempt["target"], attempt.get("reason")) for attempt in steps["waits"]["attempts"]]
    assert told_of_waits == [(0, "queue timeout"), (1, None)]
    assert "already exists; reusing it" in output

    assert [job.status for job in by_step["nowhere"]] == ["Failed", "Failed"]
    message = steps["nowhere"]["message"]
    assert message.startswith("The Azure ML job of step `nowhere` failed: Azure had no free machines for it.")
    assert "2 attempts were made:\n  1. serverless compute (Standard_DS3_v2), job `zenml-" in message
    assert message.count(": no capacity (Azure: AzureMLCompute job failed. AllocationFailed: ") == 2

    (job,) = by_step["quota"]
    assert "huge" not in emulator.context.store.workspaces[0].computes
    refused, went = steps["quota"]["attempts"]
    assert (refused.get("job"), refused["reason"], went["job"]) == (None, "no capacity", job.name)

    assert [job.name.removeprefix(by_step["spot"][0].name) for job in by_step["spot"]] == ["", "-2", "-3"]
    assert [attempt["target"] for attempt in steps["spot"]["attempts"]] == [0, 0, 0]
    assert steps["spot"]["cost"] >= 0
    assert [job.status for job in by_step["unlucky"]] == ["Failed", "Failed"]
    assert "Azure preempted its low-priority node" in steps["unlucky"]["message"]

    run = next(line.split()[1] for line in output.splitlines() if line.startswith("RUN "))
    listed = simulated_project.azureml("jobs", "list", "--run", run)
    assert re.search(r"Estimated cost of the run so far: 0\.0\d+ USD \(10 jobs\)\.", listed.stdout)

    for of_step in by_step.values():
        for before, after in pairwise(of_step):
            assert before.ended_at
            assert before.ended_at <= after.created_at


def checkpoints(emulator: Emulator) -> list[Path]:
    """The files that jobs have saved to go on from."""
    return [
        path
        for path in emulator.context.folder.glob("datastores/*/containers/*/zenml/*/train/checkpoints/*")
        if path.read_text()
    ]


def tier(job: Job) -> str:
    return str(job.properties["queueSettings"]["jobTier"])


def told(output: str, what: str) -> Any:
    (line,) = [line for line in output.splitlines() if line.startswith(f"{what} ")]
    return json.loads(line.removeprefix(f"{what} "))
