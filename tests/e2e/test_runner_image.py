"""What decides which step operator is in the image in which a ZenML server starts a run. Read by docs/deployment.md.

No run is started here: ZenML's server refuses to start one on a stack with a local component or a custom flavor. That a
client with this package uses its step operator, whatever the server has, is in `test_remote_server.py`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.environments import PythonEnvironment, environment_without_plugin

pytestmark = pytest.mark.long

OURS = "registry.example/zenml-with-azureml:1"

#: What the server executes for a stack whose step operator is of the flavor `azureml`.
SERVER = """
import importlib.util
from zenml.integrations.azure import AzureIntegration
from zenml.zen_server.pipeline_execution.utils import generate_dockerfile
assert importlib.util.find_spec("zenml_azureml") is None
requirements = AzureIntegration.get_requirements()
print(generate_dockerfile(requirements, AzureIntegration.APT_PACKAGES, "0.98.0", "3.12"))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> PythonEnvironment:
    """The environment of a server that does not have this package."""
    return environment_without_plugin(tmp_path_factory.mktemp("server") / "environment")


def dockerfile(server: PythonEnvironment, home: Path, **variables: str) -> list[str]:
    """The file from which the server builds the runner's image."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "ZENML_ANALYTICS_OPT_IN": "false", **variables}
    command = [str(server.python), "-c", SERVER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_server_installs_only_the_requirements_of_its_integration(
    server: PythonEnvironment, tmp_path: Path
) -> None:
    parent, *commands = dockerfile(server, tmp_path)

    assert parent == "FROM zenmldocker/zenml:0.98.0-py3.12"
    assert "zenml-azureml" not in "".join(commands)


def test_a_variable_of_the_server_names_a_parent_image_that_has_this_package(
    server: PythonEnvironment, tmp_path: Path
) -> None:
    assert dockerfile(server, tmp_path, ZENML_RUNNER_PARENT_IMAGE=OURS)[0] == f"FROM {OURS}"
