"""An update of a workspace that is answered with success has happened; any other is refused."""

from __future__ import annotations

from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import ManagedNetwork, Workspace
from azure.core.exceptions import HttpResponseError

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator

CHANGES: dict[str, Any] = {
    "description": "for digits",
    "display_name": "Digits",
    "tags": {"team": "vision"},
    "image_build_compute": "cpu",
    "public_network_access": "Disabled",
}


def updated(ml_client: MLClient, **changes: Any) -> Workspace:
    workspace = ml_client.workspaces.get(ml_client.workspace_name)
    for name, value in changes.items():
        setattr(workspace, name, value)
    ml_client.workspaces.begin_update(workspace).result()
    after: Workspace = ml_client.workspaces.get(ml_client.workspace_name)
    return after


@pytest.mark.parametrize("name", list(CHANGES))
def test_what_the_sdk_updates_is_there_afterwards_and_nothing_else_has_changed(ml_client: MLClient, name: str) -> None:
    before = ml_client.workspaces.get(ml_client.workspace_name)

    after = updated(ml_client, **{name: CHANGES[name]})

    assert getattr(after, name) == CHANGES[name]
    for other in CHANGES.keys() - {name}:
        assert getattr(after, other) == getattr(before, other)


def test_an_update_of_what_is_not_emulated_is_refused_and_nothing_is_updated(ml_client: MLClient) -> None:
    isolated = ManagedNetwork(isolation_mode="AllowOnlyApprovedOutbound")

    with pytest.raises(HttpResponseError, match="managedNetwork of a workspace is not emulated") as raised:
        updated(ml_client, description="for digits", managed_network=isolated)

    assert raised.value.status_code == 501
    assert ml_client.workspaces.get(ml_client.workspace_name).description != "for digits"


@pytest.mark.parametrize("name", ["keyVault", "storageAccount", "v1LegacyMode", "unheardOf"])
def test_a_property_that_has_no_update_is_refused_by_its_name(emulator: Emulator, name: str) -> None:
    arm = Arm(emulator)

    answer = arm.call("PATCH", arm.workspace, {"properties": {name: "other"}})

    assert (answer.status, answer.body["error"]["code"]) == (501, "NotEmulated")
    assert name in answer.body["error"]["message"]


def test_a_workspace_whose_identity_becomes_its_own_has_no_other(emulator: Emulator) -> None:
    arm = Arm(emulator)
    given = {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {"/subscriptions/s/x": {}}}
    assert "UserAssigned" in arm.call("PATCH", arm.workspace, {"identity": given}).body["identity"]["type"].split(",")

    answer = arm.call("PATCH", arm.workspace, {"identity": {"type": "SystemAssigned"}})

    assert answer.body["identity"]["type"] == "SystemAssigned"
    assert "userAssignedIdentities" not in answer.body["identity"]
