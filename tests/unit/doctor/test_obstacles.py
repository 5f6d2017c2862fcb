"""What makes Azure refuse all jobs is found before the first one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zenml_azureml.azure.arm.models import InspectedCompute, InspectedWorkspace, Lock
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.doctor.checks.compute import ConfiguredCompute, check_compute
from zenml_azureml.doctor.checks.workspace import Obstacles, check_workspace
from zenml_azureml.doctor.result import Problem, Status

ADDRESS = WorkspaceAddress("00000000-0000-0000-0000-000000000001", "group", "space")
GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/g"
STORAGE = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/s"
PRINCIPAL = "11111111-1111-1111-1111-111111111111"
SPACE = InspectedWorkspace("/w", "westeurope", "Succeeded", True, False, "", ())


@pytest.mark.parametrize(
    ("obstacles", "status", "found", "hint"),
    [
        (Obstacles("Enabled"), Status.OK, "`space` in westeurope", ""),
        (Obstacles("Disabled"), Status.FAILED, "The subscription is disabled", "re-enable it"),
        (Obstacles("Deleted"), Status.FAILED, "The subscription is deleted", "use another one"),
        (Obstacles("Warned"), Status.WARNING, "has the state Warned", "re-enable it"),
        (Obstacles("PastDue"), Status.WARNING, "has the state PastDue", "re-enable it"),
        (
            Obstacles("Enabled", "Microsoft.MachineLearningServices"),
            Status.FAILED,
            "is not registered in the subscription",
            "az provider register --namespace Microsoft.MachineLearningServices --subscription",
        ),
        (
            Obstacles("Enabled", storage_account=STORAGE, without_role=PRINCIPAL),
            Status.WARNING,
            "the identity of the configured compute has no role on it",
            f"--assignee-object-id {PRINCIPAL} --assignee-principal-type ServicePrincipal --scope {STORAGE}",
        ),
        (
            Obstacles("Enabled", storage_account=STORAGE),
            Status.WARNING,
            "the identity of the configured compute does not exist",
            "`compute_identity`",
        ),
        (Obstacles(locks=(Lock("keep", False),)), Status.WARNING, "`keep` prevents deletions", "az lock list"),
        (Obstacles(locks=(Lock("keep", False), Lock("ice", True))), Status.FAILED, "`ice` makes", "az lock list"),
    ],
)
def test_each_obstacle_is_a_finding(obstacles: Obstacles, status: Status, found: str, hint: str) -> None:
    where = replace(obstacles, address=ADDRESS)

    finding = check_workspace("space", SPACE, "https://history", where)

    assert finding.status is status
    assert found in finding.found
    assert hint in finding.hint


def test_an_obstacle_explains_more_than_a_workspace_that_cannot_be_read() -> None:
    finding = check_workspace("space", Problem("no"), Problem("no"), Obstacles("Disabled", address=ADDRESS))

    assert finding.found.startswith("The subscription is disabled")


def test_an_instance_whose_disk_is_full_has_its_own_advice() -> None:
    full = InspectedCompute("dev", "compute instance", "S", "Unusable", None, None, "The disk is full.", False, ())

    finding = check_compute((full,), ConfiguredCompute("dev"), ADDRESS)

    assert finding.status is Status.FAILED
    assert "`sudo reboot`" in finding.hint
    assert "az ml compute delete --name dev" in finding.hint
