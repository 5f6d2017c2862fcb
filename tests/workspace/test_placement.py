"""Compute, nodes and VM size settled together, through the real SDK."""

from __future__ import annotations

import pytest
from azure.core.credentials import TokenCredential

from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.failures import AzureMLError
from zenml_azureml.request import ComputeCluster, JobOptions, Serverless
from zenml_azureml.workspace.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.workspace.placement import ANYWHERE, Demands, place
from zenml_azureml.workspace.sizes.vm_size import ResourceRequest

CLUSTER = ComputeCluster("cpu", size="Standard_DS3_v2")


@pytest.fixture
def connection(emulator: Emulator, credential: TokenCredential) -> WorkspaceConnection:
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    return WorkspaceConnection(address, lambda: credential)


def test_serverless_compute_without_a_wish_costs_no_request(
    emulator: Emulator, connection: WorkspaceConnection
) -> None:
    assert place(connection, Serverless(), JobOptions(), Demands()) == (ANYWHERE, JobOptions())
    assert requests_of(emulator) == []


def test_a_new_cluster_has_room_for_all_nodes_of_its_job(emulator: Emulator, connection: WorkspaceConnection) -> None:
    place(connection, CLUSTER, JobOptions(instance_count=6), Demands(quota_check="off"))

    assert emulator.context.store.workspaces[0].computes["cpu"].inner["scaleSettings"]["maxNodeCount"] == 6


@pytest.mark.parametrize("exists", [False, True])
def test_more_nodes_than_a_cluster_can_have_are_an_error_and_not_a_job_that_waits_for_ever(
    emulator: Emulator, connection: WorkspaceConnection, exists: bool
) -> None:
    small = ComputeCluster("cpu", size="Standard_DS3_v2", max_instances=2)
    if exists:
        place(connection, small, JobOptions(), Demands())

    with pytest.raises(AzureMLError, match=r"asks for 3 nodes \(`instance_count`\), but the compute `cpu` has 2"):
        place(connection, small, JobOptions(instance_count=3), Demands())

    assert bool(emulator.context.store.workspaces[0].computes) is exists


def test_an_existing_compute_that_is_smaller_than_the_resources_is_warned_of(
    emulator: Emulator, connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture
) -> None:
    place(connection, CLUSTER, JobOptions(), Demands())
    caplog.clear()

    placement, _ = place(connection, CLUSTER, JobOptions(), Demands(ResourceRequest(cpus=64)))

    assert placement.target.name == "cpu"
    assert any("64" in message and "Standard_DS3_v2" in message for message in caplog.messages)
