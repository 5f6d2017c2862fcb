"""Azure ML's own check of a workspace, as the SDK asks for it."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator


@pytest.mark.azure_verified
def test_the_sdk_gets_a_result_without_faults(ml_client: MLClient) -> None:
    result = ml_client.workspaces.begin_diagnose(ml_client.workspace_name).result()

    assert result.storage_account_results == []
    assert result.key_vault_results == []


def test_only_the_requested_parts_are_answered(emulator: Emulator) -> None:
    arm = Arm(emulator)

    begun = arm.call("POST", f"{arm.workspace}/diagnose", {"value": {"keyVault": {}}})

    assert (begun.status, begun.headers["Content-Length"]) == (202, "0")
    assert arm.call("GET", begun.headers["Location"]).body == {"value": {"keyVaultResults": []}}


def test_an_operation_that_does_not_exist_is_refused(emulator: Emulator) -> None:
    arm = Arm(emulator)
    subscription = arm.workspace.partition("/resourceGroups")[0]
    path = f"{subscription}/providers/Microsoft.MachineLearningServices/locations/westeurope"

    assert arm.call("GET", f"{path}/workspaceOperationsStatus/none").status == 404
