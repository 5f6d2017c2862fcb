"""Stacks outlive the package: with it they load its classes, without it ZenML's built-in ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Project, zenml_variables
from tests.e2e.environments import PythonEnvironment, environment_without_plugin
from tests.e2e.every_key import AS_DOCUMENTED, EVERY_KEY

pytestmark = pytest.mark.long

BUILT_IN = "zenml.integrations.azure"
OURS = "zenml_azureml"

REGISTER = """
import json, sys
from zenml.client import Client
from zenml.enums import StackComponentType as Type

name, configuration = sys.argv[1], json.loads(sys.argv[2])
client = Client()
client.create_stack_component(name, "azureml", Type.STEP_OPERATOR, configuration)
stack = {Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "default", Type.STEP_OPERATOR: name}
client.create_stack(name, stack)
"""

#: Loads a stack, as every run does, and says what it found.
LOAD = """
import json, sys
from zenml.client import Client

client = Client()
client.activate_stack(sys.argv[1])
operator = client.active_stack.step_operator
flavor = client.get_flavor_by_name_and_type("azureml", "step_operator")
classes = [type(operator), type(operator.config), operator.settings_class, flavor_class(flavor)]
values = {key: getattr(operator.config, key) for key in json.loads(sys.argv[2])}
print(json.dumps({"modules": [one.__module__ for one in classes], "values": values}, default=str))
"""

LOAD_PRELUDE = """
from zenml.stack import Flavor

def flavor_class(model):
    return type(Flavor.from_model(model))
"""


def loaded(project: Project, stack: str) -> tuple[set[str], dict[str, Any]]:
    """The packages that a stack's classes come from, and its step operator's configuration."""
    output = project.succeed(LOAD, stack, json.dumps(list(EVERY_KEY)), prelude=LOAD_PRELUDE)
    found = json.loads(output.splitlines()[-1])
    packages = {OURS if name.startswith(f"{OURS}.") else name[: len(BUILT_IN)] for name in found["modules"]}
    return packages, found["values"]


@pytest.fixture
def environment(tmp_path: Path) -> PythonEnvironment:
    return environment_without_plugin(tmp_path / "environment")


@pytest.fixture
def user(tmp_path: Path, environment: PythonEnvironment) -> Project:
    """Somebody without any ZenML configuration yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    variables = {**zenml_variables(tmp_path), "AZUREML_DEV_URL_MFE": "https://127.0.0.1:1"}
    return Project(folder, variables, python=str(environment.python))


def test_a_stack_registered_with_the_package_works_without_it_and_with_it_again(
    user: Project, environment: PythonEnvironment, wheel: Path
) -> None:
    environment.install(wheel)
    user.succeed(REGISTER, "azure", json.dumps(AS_DOCUMENTED), prelude="")
    assert loaded(user, "azure") == ({OURS}, EVERY_KEY)

    environment.uninstall("zenml-azureml")
    assert loaded(user, "azure") == ({BUILT_IN}, EVERY_KEY)

    environment.install(wheel)
    assert loaded(user, "azure") == ({OURS}, EVERY_KEY)


def test_a_stack_registered_without_the_package_is_its_own_after_installing_it(
    user: Project, environment: PythonEnvironment, wheel: Path
) -> None:
    user.succeed(REGISTER, "azure", json.dumps(EVERY_KEY), prelude="")
    assert loaded(user, "azure") == ({BUILT_IN}, EVERY_KEY)

    environment.install(wheel)
    assert loaded(user, "azure") == ({OURS}, EVERY_KEY)
