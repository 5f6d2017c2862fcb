"""What a client prints of a step that fails: little, without repetition, and the cause in plain view."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import Project
from tests.e2e.test_credentials_in_a_run import STORE_PRINCIPAL
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.scenarios.armed import Armed
from zenml_azureml.emulator.scenarios.rules import ScenarioRule

SCRIPT = """
def helper(x):
    return x / 0

@step(step_operator="azureml")
def divide() -> None:
    print("about to divide")
    helper(1)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    divide()

if __name__ == "__main__":
    training()
"""

#: Lines of ours that may follow the log.
MOST = 25

#: A frame of a traceback that Python or ZenML prints in the client, with its line of code and the marks below it.
CLIENT_FRAME = re.compile(r'  File "|    ')


def test_a_failure_is_told_in_few_lines_and_the_streamed_log_is_not_repeated(project: Project) -> None:
    client = project.start(SCRIPT)
    output, _ = client.communicate(timeout=240)
    lines = output.splitlines()
    last_of_log = max(number for number, line in enumerate(lines) if line.startswith("[divide] "))
    after = lines[last_of_log + 1 :]
    ours = [line for line in after if not CLIENT_FRAME.match(line)]

    assert lines[last_of_log] == "[divide] ZeroDivisionError: division by zero", output
    assert len(ours) <= MOST, output
    assert sum("ZeroDivisionError: division by zero" in line for line in after) == 2, output  # ZenML prints it twice
    assert not any("helper(1)" in line for line in after), output
    assert "direct cause" not in output
    assert "During handling" not in output
    assert not any("/lifecycle/" in line for line in after), "no frame of ours but the door"


@pytest.mark.parametrize("cause", ["image-pull-refused", "quota", "credentials"])
def test_a_failure_that_is_not_the_codes_is_as_short(
    cause: str, simulated_project: Project, emulator: Emulator
) -> None:
    if cause == "credentials":
        simulated_project.succeed(STORE_PRINCIPAL, emulator.tenant_id, emulator.client_id, "not the secret")
    else:
        emulator.context.scenarios.armed.append(Armed(ScenarioRule(name=cause)))

    output, _ = simulated_project.start(SCRIPT).communicate(timeout=240)

    began = output.index("Failed to run step `divide`: ")
    ours = [line for line in output[began:].splitlines() if not CLIENT_FRAME.match(line)]
    summary = ours[0].partition("`divide`: ")[2]
    assert len(ours) <= MOST, output
    assert sum(summary in line for line in ours) == 2, output  # ZenML prints it twice
    assert len([line for line in ours if line.startswith("Next steps: ")]) == 2, output
    assert "direct cause" not in output
    assert "During handling" not in output
    assert "/lifecycle/" not in output, "no frame of ours but the door"
