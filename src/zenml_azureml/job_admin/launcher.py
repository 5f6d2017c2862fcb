"""What ZenML's launcher of steps gives to a step operator, for jobs outside of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.config.step_run_info import StepRunInfo
from zenml.constants import ENV_ZENML_STEP_OPERATOR
from zenml.enums import StoreType
from zenml.orchestrators.utils import get_config_environment_vars

from zenml_azureml.exceptions import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zenml.config.step_configurations import StepConfiguration
    from zenml.models import StackResponse, StepRunResponse

    from zenml_azureml.step_operator import AzureMLStepOperator

#: Variable with the token for the ZenML server.
TOKEN = "ZENML_STORE_API_TOKEN"  # noqa: S105 - its name


def info_of(step_run: StepRunResponse) -> StepRunInfo:
    """Return the data about a past step run.

    Args:
        step_run: The step run.

    Raises:
        AzureMLError: If its run has no snapshot any more.
    """
    run = Client().get_pipeline_run(step_run.pipeline_run_id)
    if run.snapshot is None:
        raise AzureMLError(f"The run `{run.name}` has no snapshot in ZenML any more, so its jobs are unknown.")
    return StepRunInfo(
        step_run=step_run,
        config=step_run.config,
        spec=step_run.spec,
        pipeline=run.snapshot.pipeline_configuration,
        run_name=run.name,
        pipeline_step_name=step_run.name,
        run_id=run.id,
        step_run_id=step_run.id,
        force_write_logs=lambda: None,
        snapshot=run.snapshot,
    )


def command_of(
    operator: AzureMLStepOperator, config: StepConfiguration, step_name: str, snapshot_id: UUID, step_run_id: UUID
) -> list[str]:
    """Return the command of a step.

    Args:
        operator: Its step operator.
        config: Its configuration.
        step_name: Its name in the pipeline.
        snapshot_id: Id of the snapshot of its run.
        step_run_id: Id of the step run.
    """
    if config.command is not None:
        return list(config.command)
    entrypoint = operator.entrypoint_config_class
    return [
        *entrypoint.get_entrypoint_command(),
        *entrypoint.get_entrypoint_arguments(
            step_name=step_name, snapshot_id=snapshot_id, step_run_id=str(step_run_id)
        ),
    ]


def environment_of(own: Mapping[str, str], token: str, stack: StackResponse | None = None) -> dict[str, str]:
    """Return the environment of a step.

    Args:
        own: The environment in the configuration of the step.
        token: Token for the ZenML server, if this client has none itself.
        stack: Its stack; None for the active one. Not the components themselves: their packages may be missing here.
    """
    stack = stack or Client().active_stack_model
    # Without a run, no new token is requested. The second part contains secrets.
    variables = {name: value for part in get_config_environment_vars() for name, value in part.items()}
    if token and has_server():
        variables.setdefault(TOKEN, token)
    for components in stack.components.values():
        for component in components:
            variables.update(component.environment)
    variables.update(stack.environment)
    variables.update(own)
    variables[ENV_ZENML_STEP_OPERATOR] = "True"
    return {name: str(value) for name, value in variables.items()}


def has_server() -> bool:
    """True if ZenML has a server, and not only a database."""
    return Client().zen_store.type is not StoreType.SQL
