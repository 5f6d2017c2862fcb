"""Steps on attached Kubernetes clusters: the real SDK, on an emulator."""

from __future__ import annotations

import logging

import pytest
from azure.ai.ml.entities import KubernetesCompute
from azure.core.credentials import TokenCredential

from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.compute.placement import Demands, supposed
from zenml_azureml.azure.compute.placing import place, preview
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.sizes.vm_size import ResourceRequest
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeCluster, ExistingCompute
from zenml_azureml.specs.job import JobOptions

CLUSTER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/aks"
ATTACHED = ExistingCompute("k8")
MUCH = Demands(ResourceRequest(cpus=64, gpus=8))


@pytest.fixture
def connection(emulator: Emulator, credential: TokenCredential) -> WorkspaceConnection:
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    connection = WorkspaceConnection(address, lambda: credential)
    types = {"gpu-small": {"resources": {"limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": 1}}}}
    attached = KubernetesCompute(name="k8", resource_id=CLUSTER, properties={"instanceTypes": types})
    connection.client.compute.begin_create_or_update(attached).result()
    return connection


def test_an_instance_type_of_the_cluster_is_used_and_nothing_is_looked_up(
    emulator: Emulator, connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(requests_of(emulator))
    wanted = JobOptions(instance_type="gpu-small", instance_count=3)

    # Source: https://github.com/Azure/AML-Kubernetes/issues/262: `instance_type` names an InstanceType of the cluster.
    placement, options = place(connection, ATTACHED, wanted, MUCH)

    assert (options.instance_type, options.instance_count, placement.nodes) == ("gpu-small", 3, 3)
    assert placement.describe() == "the Kubernetes compute `k8` (gpu-small, price unknown)"
    assert [entry["path"].rpartition("/")[2] for entry in requests_of(emulator)[before:]] == ["k8"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_resources_without_an_instance_type_are_reported_as_not_applied(
    connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture
) -> None:
    placement, options = place(connection, ATTACHED, JobOptions(), MUCH)

    assert options == JobOptions()
    assert placement.describe() == ("the Kubernetes compute `k8` (default instance type of the cluster, price unknown)")
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.startswith("The step's resources (at least 64 vCPU, 8 GPU) are not applied: `k8` is an attached")
    assert "Set `instance_type`" in warning


def test_without_resources_nothing_is_reported(
    connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture
) -> None:
    place(connection, ATTACHED, JobOptions(), Demands())

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_instance_type_is_ignored_with_a_warning_on_a_cluster_of_azure_ml(
    connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture
) -> None:
    place(connection, ComputeCluster("cpu", size="Standard_DS3_v2"), JobOptions(), Demands())

    _, options = place(connection, ExistingCompute("cpu"), JobOptions(instance_type="gpu-small"), Demands())

    assert options.instance_type is None
    assert "`instance_type` is ignored: the compute cluster `cpu` has a size of its own." in caplog.messages


@pytest.mark.parametrize(("name", "kept"), [("k8", "gpu-small"), ("cpu", None)])
def test_a_preview_keeps_an_instance_type_where_the_job_would(
    connection: WorkspaceConnection, name: str, kept: str | None
) -> None:
    place(connection, ComputeCluster("cpu", size="Standard_DS3_v2"), JobOptions(), Demands())

    _, options = preview(connection, ExistingCompute(name), JobOptions(instance_type="gpu-small"), Demands())

    assert options.instance_type == kept


def test_a_job_of_another_process_is_supposed_to_have_the_instance_type() -> None:
    assert supposed(ATTACHED, JobOptions(instance_type="gpu-small"), None).size == "gpu-small"


def test_a_cluster_mode_is_no_way_to_a_kubernetes_cluster(connection: WorkspaceConnection) -> None:
    with pytest.raises(AzureMLError, match="that is a Kubernetes") as raised:
        place(connection, ComputeCluster("k8"), JobOptions(), Demands())

    assert "Remove `mode` and set `compute_target_name` to 'k8'" in str(raised.value)
