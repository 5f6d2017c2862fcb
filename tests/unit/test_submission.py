"""What is sent of a step run beside what the step asks for."""

from __future__ import annotations

from zenml.config import DockerSettings

from zenml_azureml.submission import default_variables


def test_tracebacks_are_plain_unless_the_image_says_otherwise() -> None:
    framed = DockerSettings(environment={"ZENML_ENABLE_RICH_TRACEBACK": "true"})

    assert default_variables(DockerSettings()) == {"ZENML_ENABLE_RICH_TRACEBACK": "false"}
    assert default_variables(framed) == {}
