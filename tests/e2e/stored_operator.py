"""A step operator in the database of a real ZenML, in this process, and the connection that a pipeline has with it."""

from __future__ import annotations

from typing import cast
from uuid import uuid4

import pytest
from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.stack import StackComponent

from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.auth.errors import SignInError
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.emulator import Emulator
from zenml_azureml.plugin.credentials import credential_of
from zenml_azureml.step_operator import AzureMLStepOperator

STEP_OPERATOR = StackComponentType.STEP_OPERATOR


class StoredOperator:
    """A step operator in ZenML's database.

    Attributes:
        name: The step operator's name.
    """

    def __init__(self, emulator: Emulator, **configuration: str) -> None:
        self.emulator = emulator
        self.arm = Arm(emulator)
        self.name = f"azureml-{uuid4().hex[:8]}"
        workspace = emulator.context.store.workspaces[0]
        self.address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name)
        address = {
            "subscription_id": workspace.subscription_id,
            "resource_group": workspace.resource_group,
            "workspace_name": workspace.name,
        }
        Client().create_stack_component(self.name, "azureml", STEP_OPERATOR, {**address, **configuration})

    def connect(self) -> WorkspaceConnection:
        """The connection of a step operator that is loaded now."""
        model = Client().get_stack_component(STEP_OPERATOR, self.name)
        operator = cast("AzureMLStepOperator", StackComponent.from_model(model))
        assert isinstance(operator, AzureMLStepOperator)
        transport = WorkspaceTransport(sleeper=lambda _seconds: None)
        return WorkspaceConnection(self.address, lambda: credential_of(operator, self.address.cloud), transport)

    def update(self, **configuration: str) -> None:
        """As `zenml step-operator update NAME --OPTION=...` does it."""
        Client().update_stack_component(self.name, STEP_OPERATOR, configuration=configuration)

    def use_connector(self, name: str) -> None:
        """As `zenml step-operator connect NAME --connector NAME` does it."""
        connector = Client().get_service_connector(name).id
        Client().update_stack_component(self.name, STEP_OPERATOR, connector_id=connector)

    def rotate_secret(self, old: str = "deleted") -> None:
        """Another secret, and no token so far is valid: so the old one is of no use any more."""
        self.arm.call("POST", "/_emulator/secret/rotate", {"old": old})
        self.revoke_tokens()

    def revoke_tokens(self) -> None:
        self.arm.call("POST", "/_emulator/tokens/revoke", {"answer": "none"})

    def token_requests(self) -> int:
        return len([entry for entry in requests_of(self.emulator) if entry["path"].endswith("/oauth2/v2.0/token")])


def works(connection: WorkspaceConnection) -> bool:
    return list(connection.client.jobs.list()) == []


def refusal_of(connection: WorkspaceConnection) -> SignInError:
    with pytest.raises(SignInError) as refused:
        works(connection)
    return refused.value


def told(error: SignInError, stored: StoredOperator) -> str:
    return str(to_azureml_error("watch the job `job`", error, stored.address))


def principal_of(emulator: Emulator) -> dict[str, str]:
    """The options of a step operator that signs in with the emulator's one application."""
    return {
        "tenant_id": emulator.tenant_id,
        "service_principal_id": emulator.client_id,
        "service_principal_password": emulator.client_secret,
    }
