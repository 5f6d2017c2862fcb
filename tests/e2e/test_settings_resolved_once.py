"""The settings of a step are merged, validated and resolved once in its life, however often its status is polled."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Project
from tests.e2e.test_nothing_is_kept import DYNAMIC, PRELUDE, STATIC
from zenml_azureml.emulator import Emulator

COUNTED = """
from collections import Counter

from zenml.models import StepRunResponse
from zenml_azureml.settings.of_steps import SettingsOfSteps

resolved = Counter()
original = SettingsOfSteps.of

def counted(settings, container):
    if isinstance(container, StepRunResponse):
        resolved[container.name] += 1
    return original(settings, container)

SettingsOfSteps.of = counted
"""

MAIN = """
if __name__ == "__main__":
    try:
        steps()
    except RuntimeError:
        pass
    print("RESOLVED", json.dumps(resolved))
"""


@pytest.mark.parametrize("script", [STATIC, pytest.param(DYNAMIC, marks=pytest.mark.long)], ids=["static", "dynamic"])
def test_the_settings_of_a_step_are_resolved_once(script: str, simulated_project: Project, emulator: Emulator) -> None:
    emulator.context.settings.simulated_seconds = 2

    output = simulated_project.succeed(PRELUDE + COUNTED + script + MAIN)

    (line,) = [line for line in output.splitlines() if line.startswith("RESOLVED ")]
    assert json.loads(line.removeprefix("RESOLVED ")) == {"first": 1, "second": 1, "failing": 1}
