"""The workspace in which the jobs of an earlier step run are looked for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.plugin.workspaces import OperatorWorkspaces

CONFIG = SimpleNamespace(subscription_id="s", resource_group="r", workspace_name="w")


def workspaces_for(settings: Callable[[], AzureMLStepOperatorSettings]) -> OperatorWorkspaces:
    operator: Any = SimpleNamespace(name="azureml", config=CONFIG)
    of_steps: Any = SimpleNamespace(of=lambda _step: settings())
    workspaces = operator.workspaces = OperatorWorkspaces(operator, of_steps, SYSTEM_TIME)
    return workspaces


def step_run(operator: object) -> Any:
    return SimpleNamespace(config=SimpleNamespace(step_operator=operator))


def test_a_step_run_is_looked_for_in_the_cloud_of_its_own_settings() -> None:
    settings = AzureMLStepOperatorSettings(cloud="AzureChinaCloud")
    workspaces = workspaces_for(lambda: settings)

    found = workspaces.of_step(step_run("azureml"))

    assert found is workspaces.workspace(settings)
    assert found.address.cloud.name == "AzureChinaCloud"


def test_settings_with_which_no_job_can_have_been_submitted_have_no_workspace() -> None:
    def refuse() -> AzureMLStepOperatorSettings:
        raise AzureMLSettingsError("`mode='cluster'` is none")

    assert workspaces_for(refuse).of_step(step_run("azureml")) is None
