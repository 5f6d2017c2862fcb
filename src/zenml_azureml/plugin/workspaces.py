"""The Azure ML workspaces of a step operator: one in each cloud that its steps name."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

from zenml.client import Client

from zenml_azureml.clock import Time
from zenml_azureml.clouds import Cloud, cloud_of
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.plugin.credentials import credential_of
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.settings.of_steps import SettingsOfSteps

if TYPE_CHECKING:
    from zenml.models import StepRunResponse
    from zenml.stack import StackComponent

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.plugin.config import AzureMLStepOperatorConfig


class OperatorWorkspaces:
    """The workspaces of one step operator.

    Thread-safe: a lock makes sure that each cloud's workspace is created once. They are thread-safe themselves.

    Args:
        operator: The step operator's configuration and connector.
        settings: The settings of its steps.
        time: The clock.
    """

    def __init__(self, operator: StackComponent, settings: SettingsOfSteps, time: Time) -> None:
        self._operator = operator
        self._settings = settings
        self._time = time
        self._lock = threading.Lock()
        self._workspaces: dict[Cloud, Workspace] = {}

    def workspace(self, settings: AzureMLStepOperatorSettings) -> Workspace:
        """Return the workspace in the cloud of the settings; it connects at the first use.

        Raises:
            AzureMLSettingsError: If there is no such cloud or endpoint.
        """
        from zenml_azureml.azure.client import Workspace
        from zenml_azureml.azure.connection import WorkspaceAddress

        try:
            cloud = cloud_of(settings.cloud, settings.arm_endpoint)
        except ValueError as error:
            raise AzureMLSettingsError(str(error)) from error
        config = cast("AzureMLStepOperatorConfig", self._operator.config)
        with self._lock:
            if cloud not in self._workspaces:
                address = WorkspaceAddress(
                    subscription_id=config.subscription_id,
                    resource_group=config.resource_group,
                    name=config.workspace_name,
                    cloud=cloud,
                )
                self._workspaces[cloud] = Workspace(address, lambda: credential_of(self._operator, cloud), self._time)
            return self._workspaces[cloud]

    def of_step(self, step_run: StepRunResponse) -> Workspace | None:
        """Return the workspace of a step run of any step operator of the active stack.

        Returns:
            The workspace; None if the operator does not belong to this package, or with settings with which no job
            can have been submitted.
        """
        name = step_run.config.step_operator
        operator: object = self._operator
        if isinstance(name, str) and name != self._operator.name:
            # One that is no longer in the stack may have been renamed.
            operator = Client().active_stack.step_operators.get(name, self._operator)
        workspaces = getattr(operator, "workspaces", None)
        if not isinstance(workspaces, OperatorWorkspaces):
            return None
        try:
            return workspaces.workspace(workspaces._settings.of(step_run))
        except AzureMLSettingsError:
            return None
