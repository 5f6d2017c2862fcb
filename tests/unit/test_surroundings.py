"""Processes in which ZenML does not use the step operator as the user expects."""

from __future__ import annotations

from uuid import UUID

import pytest
from zenml.constants import ENV_ZENML_STEP_OPERATOR
from zenml.deployers.server import app
from zenml.deployers.server.entrypoint_configuration import DeploymentEntrypointConfiguration

from zenml_azureml.contract.variables import SUBMITTED, is_job_of_built_in
from zenml_azureml.plugin.surroundings import BUILT_IN_SUBMITTED, messages

#: The module that ZenML's local deployer runs, and the arguments of its container ones.
LOCAL_DEPLOYER = app.__name__
ARGUMENTS = DeploymentEntrypointConfiguration.get_entrypoint_arguments(deployment_id=UUID(int=1))

#: What Azure ML and ZenML's launcher set in the job of any step operator.
STEP_JOB = {"AZUREML_RUN_ID": "zenml-1", ENV_ZENML_STEP_OPERATOR: "True"}


@pytest.mark.parametrize(
    ("environment", "built_in"),
    [
        (STEP_JOB, True),
        ({**STEP_JOB, SUBMITTED: "1"}, False),
        ({**STEP_JOB, "ZENML_ENABLE_RICH_TRACEBACK": "false"}, False),  # an earlier version of this package
        ({"AZUREML_RUN_ID": "of-a-user"}, False),  # a job of the user's own, or of ZenML's Azure ML orchestrator
        ({ENV_ZENML_STEP_OPERATOR: "True"}, False),  # a step operator that is not on Azure ML
        ({**STEP_JOB, ENV_ZENML_STEP_OPERATOR: "False"}, False),
        ({}, False),
    ],
)
def test_a_job_of_the_built_in_operator_is_known(environment: dict[str, str], built_in: bool) -> None:
    assert is_job_of_built_in(environment) is built_in
    assert messages("azureml", environment, ()) == ([BUILT_IN_SUBMITTED] if built_in else [])


@pytest.mark.parametrize(
    "command",
    [
        ["python", "-m", LOCAL_DEPLOYER, "--deployment_id", "1"],
        ["python", *DeploymentEntrypointConfiguration.get_entrypoint_command()[1:], *ARGUMENTS],
    ],
)
def test_a_deployed_pipeline_is_known_by_the_commands_of_zenmls_deployers(command: list[str]) -> None:
    (message,) = messages("gpus", {}, command)

    assert "ZenML runs all its steps inside this process, also those with the step operator `gpus`." in message


def test_other_processes_are_no_deployment() -> None:
    assert messages("gpus", {}, ["python", "-m", "zenml.entrypoints.entrypoint", "--step_name", "train"]) == []
    assert messages("gpus", {}, ["zenml", "pipeline", "deploy", "train.training"]) == []
