"""Cost limits in whole pipelines: Azure ends a job that reaches its limit, and a retry of it is refused."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from tests.e2e.conftest import Project
from tests.e2e.killed import jobs_of
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.jobs.definition import timeout_of
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.scenarios.armed import Armed
from zenml_azureml.emulator.scenarios.rules import ScenarioRule

PIPELINE = """
import json
from zenml_azureml import CostLimitError
from zenml.config.retry_config import StepRetryConfig

def asked(**settings):
    return {"step_operator": AzureMLStepOperatorSettings(instance_type="Standard_DS3_v2", **settings)}

@step(step_operator="azureml", settings=asked(timeout_minutes=60))
def plain() -> None: ...

@step(step_operator="azureml", settings=asked(max_usd=0.29), retry=StepRetryConfig(max_retries=1, delay=1))
def train() -> None: ...

@pipeline(dynamic=True, enable_cache=False, depends_on=[plain, train],
          settings={**NO_BUILD, "step_operator": AzureMLStepOperatorSettings(max_usd_per_run=2.9)})
def limited():
    for each in (plain, train):
        try:
            each()
        except Exception as error:
            told = {"kind": type(error).__name__, "is": isinstance(error, CostLimitError), "text": str(error)}
            print("RAISED", each.name, json.dumps({**told, "cause": getattr(error, "cause", None)}))

if __name__ == "__main__":
    try:
        limited()
    except Exception as error:
        print("ENDED", error)
    for step_run in Client().list_run_steps(pipeline_run_id=last_run().id, hydrate=True, sort_by="asc:created"):
        info = step_run.exception_info
        print("STEP", json.dumps([step_run.name, step_run.version, step_run.status, info and info.message]))
    print("RUN", last_run().id)
"""


def test_a_cost_limit_ends_jobs_and_refuses_steps(simulated_project: Project, emulator: Emulator) -> None:
    emulator.context.scenarios.armed.append(Armed(ScenarioRule(name="timeout", jobs="^zenml_step=train$")))

    output = simulated_project.succeed(PIPELINE)

    plain, train = jobs_of(emulator)  # and none for the retry of `train`
    assert (plain.status, train.status) == ("Completed", "Canceled")
    assert (limit_of(plain), limit_of(train)) == (timedelta(hours=1), timedelta(hours=1))
    assert tag(plain, "zenml_cost_limit") is None
    assert tag(train, "zenml_cost_limit") == "max_usd=0.29"
    assert "Step `train`: its job may run for 60.0 minutes, because 0.29 USD of `max_usd=0.29` is left" in output

    steps = [json.loads(line.removeprefix("STEP ")) for line in output.splitlines() if line.startswith("STEP ")]
    (ended,) = [message for name, version, _, message in steps if (name, version) == ("train", 1)]
    reached = "it reached its cost limit (`max_usd=0.29`) after 60.0 minutes, and Azure cancelled it."
    assert ended.startswith(f"The Azure ML job of step `train` failed: {reached}\n")
    assert "timeout_minutes" not in ended
    (refused,) = [message for name, version, _, message in steps if (name, version) == ("train", 2)]
    assert refused.startswith("The step `train` was not submitted: its cost limit (`max_usd=0.29`) is used up. Of ")
    assert "ended jobs have cost 0.29 and unfinished jobs have reserved 0.00, so 0.00" in refused
    (raised,) = [line for line in output.splitlines() if line.startswith("RAISED train ")]
    found: dict[str, Any] = json.loads(raised.removeprefix("RAISED train "))
    assert (found["is"], found["cause"]) == (True, "cost-limit")

    run = next(line.split()[1] for line in output.splitlines() if line.startswith("RUN "))
    listed = simulated_project.azureml("jobs", "list", "--run", run)
    assert re.search(r"Estimated cost of the run so far: 0\.29 USD \(2 jobs\)\.$", listed.stdout.strip())
    shown = simulated_project.azureml("jobs", "show", train.name).stdout
    assert reached in " ".join(shown.split())


def limit_of(job: Job) -> timedelta:
    return timedelta(seconds=timeout_of(job.properties["limits"]) or 0)


def tag(job: Job, key: str) -> str | None:
    found: str | None = job.properties["tags"].get(key)
    return found
