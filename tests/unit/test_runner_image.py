"""What decides which step operator is in the image in which a ZenML server starts a run. Read by docs/deployment.md."""

from __future__ import annotations

import pytest
from zenml.integrations.azure import AzureIntegration
from zenml.zen_server.pipeline_execution.utils import generate_dockerfile

OURS = "registry.example/zenml-with-azureml:1"


def dockerfile() -> list[str]:
    """The file that a server without this package makes for a stack on Azure."""
    requirements = AzureIntegration.get_requirements()
    return generate_dockerfile(requirements, AzureIntegration.APT_PACKAGES, "0.98.0", "3.12").splitlines()


def test_the_server_installs_only_the_requirements_of_its_integration() -> None:
    parent, *commands = dockerfile()

    assert parent == "FROM zenmldocker/zenml:0.98.0-py3.12"
    assert "zenml-azureml" not in "".join(commands)


def test_a_variable_of_the_server_names_a_parent_image_that_has_this_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENML_RUNNER_PARENT_IMAGE", OURS)

    assert dockerfile()[0] == f"FROM {OURS}"
