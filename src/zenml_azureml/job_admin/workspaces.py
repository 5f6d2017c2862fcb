"""Workspaces in which jobs are searched, and the step operators that lead to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
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

#: How long ZenML's server may be unavailable, unless a step operator sets another time.
_SERVER_TIMEOUT = timedelta(minutes=AzureMLStepOperatorSettings().max_unreachable_minutes)


@dataclass(frozen=True)
class Place:
    """A workspace with jobs.

    Attributes:
        operator: Name of the step operator of the workspace, the first of several; empty if there is none.
        workspace: The workspace.
        server_timeout: How long ZenML's server may be unavailable.
        is_shared: True if several step operators have this workspace.
    """

    operator: str
    workspace: Workspace
    server_timeout: timedelta = _SERVER_TIMEOUT
    is_shared: bool = False


def operators(name: str | None) -> list[AzureMLStepOperator]:
    """Return the Azure ML step operators of the active stack, or the one with a name.

    Other components of the stack are not loaded: their packages may not be installed.

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
    """Return the workspaces of step operators, each of them once.

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
        first = places.get(workspace.address)
        place = replace(first, is_shared=True) if first else Place(operator.name, workspace, timeout)
        places[workspace.address] = place
    return list(places.values())


def place_at(subscription_id: str, resource_group: str, name: str, cloud: str | None) -> Place:
    """Return a workspace by its address, with the credentials of the environment. Needs no ZenML server.

    Args:
        subscription_id: Subscription of the workspace.
        resource_group: Resource group of the workspace.
        name: Name of the workspace.
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


def in_words(places: list[Place]) -> str:
    """Return the names of workspaces, for messages."""
    names = ", ".join(f"`{place.workspace.address.name}`" for place in places)
    return f"the workspace{'s' if len(places) > 1 else ''} {names}"


def _component_named(name: str) -> ComponentResponse:
    try:
        component = Client().get_stack_component(StackComponentType.STEP_OPERATOR, name, allow_name_prefix_match=False)
    except KeyError as error:
        raise AzureMLError(
            f"There is no step operator `{name}`.", hint="To list the step operators: `zenml step-operator list`."
        ) from error
    if component.flavor_name != _FLAVOR:
        raise AzureMLError(f"The step operator `{name}` has the flavor `{component.flavor_name}`, not `{_FLAVOR}`.")
    return component


def _operator_from(component: ComponentResponse) -> AzureMLStepOperator:
    return cast("AzureMLStepOperator", StackComponent.from_model(component))
