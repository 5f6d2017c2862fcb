"""A process forgets its steps when they are over: an orchestrator may live for months."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator

pytestmark = pytest.mark.long

PRELUDE = """
import gc, json
from collections import deque
from zenml.client import Client

#: What is kept of an earlier step run spares a request if its step is submitted again; it is bounded.
BOUNDED = {("EarlierJobs", "_ended")}

def kept(run):
    \"\"\"The tables of this package's objects that name a step run of a run, or its job.\"\"\"
    names = {str(step.id) for step in Client().list_run_steps(pipeline_run_id=run.id, size=100).items}
    assert names
    gc.collect()  # cycles of garbage
    found = []
    for each in gc.get_objects():
        if not str(type(each).__module__).startswith("zenml_azureml."):
            continue
        for attribute, value in list(getattr(each, "__dict__", {}).items()):
            if isinstance(value, (dict, set, list, tuple, deque)):
                text = str([str(key) for key in list(value)])
                if any(name in text for name in names) and (type(each).__name__, attribute) not in BOUNDED:
                    found.append(f"{type(each).__module__}.{type(each).__name__}.{attribute}")
    return sorted(found)

first = CommandStep(["true"], name="first", step_operator="azureml")
second = CommandStep(["true"], name="second", step_operator="azureml")
FAILS = AzureMLStepOperatorSettings(environment_variables={"SIMULATE_EXIT_CODE": "1"})
failing = CommandStep(["false"], name="failing", step_operator="azureml", settings={"step_operator": FAILS})
"""

STATIC = """
@pipeline(enable_cache=False, settings=NO_BUILD)
def steps():
    first()
    second(after=["first"])
    failing(after=["second"])
"""

DYNAMIC = """
@pipeline(dynamic=True, enable_cache=False, settings=NO_BUILD, depends_on=[first, second, failing])
def steps():
    futures = [first.submit(), second.submit()]
    [future.wait() for future in futures]
    failing()
"""

MAIN = """
if __name__ == "__main__":
    try:
        steps()
    except RuntimeError:
        pass
    print("KEPT", json.dumps(kept(last_run())))
"""


@pytest.mark.parametrize("script", [STATIC, DYNAMIC], ids=["static", "dynamic"])
def test_no_table_names_a_step_that_is_over(script: str, simulated_project: Project, emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 0.2

    output = simulated_project.succeed(PRELUDE + script + MAIN)

    (line,) = [line for line in output.splitlines() if line.startswith("KEPT ")]
    assert json.loads(line.removeprefix("KEPT ")) == []
