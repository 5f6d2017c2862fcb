"""The workspaces in which jobs are looked for, and how to get there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.stack import StackComponent

from zenml_azureml.clouds import cloud_of
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.step_operator import AzureMLStepOperator

if TYPE_CHECKING:
    from zenml.models import ComponentResponse

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.connection import WorkspaceAddress

_FLAVOR = "azureml"

#: For how long ZenML's server may be unavailable, if no step operator says otherwise.
_SERVER_TIMEOUT = timedelta(minutes=AzureMLStepOperatorSettings().max_unreachable_minutes)


@dataclass(frozen=True)
class Place:
    """Where jobs are.

    Attributes:
        operator: Name of the step operator that leads there; empty where none does.
        workspace: The workspace.
        server_timeout: For how long ZenML's server may be unavailable.
    """

    operator: str
    workspace: Workspace
    server_timeout: timedelta = _SERVER_TIMEOUT


def operators(name: str | None) -> list[AzureMLStepOperator]:
    """The Azure ML step operators of the active stack, or the one of a name.

    They alone are made: the stack's other components may need what is not installed here.

    Args:
        name: Name of a step operator, in the active stack or not; None for those of the stack.

    Raises:
        AzureMLError: If there is none.
    """
    if name is not None:
        return [_operator_from(_component_named(name))]
    stack = Client().active_stack_model
    components = stack.components.get(StackComponentType.STEP_OPERATOR, [])
    found = [_operator_from(component) for component in components if component.flavor_name == _FLAVOR]
    if not found:
        raise AzureMLError(
            f"The active stack `{stack.name}` has no Azure ML step operator.",
            hint="Name one with `--operator NAME`, or activate its stack with `zenml stack set NAME`.",
        )
    return found


def places_of(found: list[AzureMLStepOperator], cloud: str | None) -> list[Place]:
    """The workspaces that step operators lead to, each of them once.

    Args:
        found: The step operators.
        cloud: Name of the cloud that they are in; None for the public one.

    Raises:
        AzureMLSettingsError: If there is no such cloud.
    """
    places: dict[WorkspaceAddress, Place] = {}
    for operator in found:
        workspace = operator.workspace(AzureMLStepOperatorSettings(cloud=cloud))
        timeout = timedelta(minutes=operator.default_settings().max_unreachable_minutes)
        places.setdefault(workspace.address, Place(operator.name, workspace, timeout))
    return list(places.values())


def place_at(subscription_id: str, resource_group: str, name: str, cloud: str | None) -> Place:
    """A workspace by its address, with the credentials of the environment: it takes no ZenML server to get there.

    Args:
        subscription_id: Its subscription.
        resource_group: Its resource group.
        name: Its name.
        cloud: Name of the cloud that it is in; None for the public one.

    Raises:
        AzureMLError: If there is no such cloud.
    """
    from zenml_azureml.azure.auth.identity import credential_for
    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.connection import WorkspaceAddress

    try:
        found = cloud_of(cloud, None)
    except ValueError as error:
        raise AzureMLError(str(error)) from error
    address = WorkspaceAddress(subscription_id, resource_group, name, found)
    return Place("", Workspace(address, lambda: credential_for(None, found)))


def _component_named(name: str) -> ComponentResponse:
    try:
        component = Client().get_stack_component(StackComponentType.STEP_OPERATOR, name, allow_name_prefix_match=False)
    except KeyError as error:
        raise AzureMLError(
            f"There is no step operator `{name}`.", hint="`zenml step-operator list` shows those there are."
        ) from error
    if component.flavor_name != _FLAVOR:
        raise AzureMLError(f"The step operator `{name}` is of the flavor `{component.flavor_name}`, not `{_FLAVOR}`.")
    return component


def _operator_from(component: ComponentResponse) -> AzureMLStepOperator:
    return cast("AzureMLStepOperator", StackComponent.from_model(component))
