"""A deployed pipeline: ZenML runs its steps inside the deployment's process, whose log says so."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator

DEPLOY = """
import os

from zenml.enums import StackComponentType as Type

@step(step_operator="azureml")
def where() -> int:
    return os.getpid()

@pipeline(enable_cache=False, settings=NO_BUILD)
def served() -> int:
    return where()

if __name__ == "__main__":
    client = Client()
    client.create_stack_component("here", "local", Type.DEPLOYER, {})
    client.update_stack("stack", component_updates={Type.DEPLOYER: ["here"]})
    deployment = served.deploy("served", timeout=120)
    try:
        from zenml.deployers.utils import invoke_deployment
        print("ANSWER", invoke_deployment(deployment.id))
        for line in client.get_deployment_logs("served"):
            print("LOG", line)
    finally:
        client.delete_deployment("served", timeout=60, force=True)
"""


@pytest.mark.long
def test_its_log_says_that_no_step_runs_on_azure_ml(simulated_project: Project, emulator: Emulator) -> None:
    output = simulated_project.succeed(DEPLOY)

    assert output.count("LOG This is a deployed pipeline: ZenML runs all its steps inside this process") == 1
    assert not emulator.context.store.workspaces[0].jobs
