"""The managed identities of a resource, as Resource Manager writes them."""

from __future__ import annotations

from typing import Any

import pytest

from zenml_azureml.azure.arm.models import ManagedIdentity, managed_identities

TRAINER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"


def test_the_system_assigned_one_comes_first() -> None:
    body = {
        "identity": {
            "type": "SystemAssigned, UserAssigned",
            "principalId": "own",
            "userAssignedIdentities": {TRAINER: {"principalId": "object", "clientId": "client"}},
        }
    }

    assert managed_identities(body) == (ManagedIdentity("own"), ManagedIdentity("object", TRAINER, "client"))


@pytest.mark.parametrize(
    "identity",
    [
        None,
        {},
        {"type": "None", "principalId": None, "userAssignedIdentities": None},
        {"userAssignedIdentities": {TRAINER: None}},
        {"userAssignedIdentities": {TRAINER: {"clientId": "client"}}},
    ],
)
def test_one_without_an_object_id_does_not_count(identity: dict[str, Any] | None) -> None:
    assert managed_identities({"identity": identity}) == ()
    assert managed_identities({}) == ()
