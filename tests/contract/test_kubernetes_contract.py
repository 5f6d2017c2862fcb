"""Attached Kubernetes clusters, through the SDK."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment, KubernetesCompute
from azure.core.exceptions import HttpResponseError

from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.aml import kubernetes

AKS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/aks"
TYPES = {"small": {"nodeSelector": None, "resources": {"limits": {"cpu": "1", "memory": "4Gi"}}}}


@pytest.fixture(params=["k8", "cpu-cluster-1"])
def attached(ml_client: MLClient, request: pytest.FixtureRequest) -> str:
    """The name of an attached cluster, of the kinds that exist (MicrosoftDocs/azure-docs#55961)."""
    name = str(request.param)
    compute = KubernetesCompute(name=name, resource_id=AKS, namespace="ml", properties={"instanceTypes": TYPES})
    ml_client.compute.begin_create_or_update(compute).result()
    return name


def _submit(ml_client: MLClient, compute: str, instance_type: str | None, nodes: int = 1) -> str:
    job = command(
        command="train",
        environment=Environment(image="registry.azurecr.io/train:1"),
        compute=compute,
        instance_type=instance_type,
        instance_count=nodes,
    )
    return str(ml_client.jobs.create_or_update(job).name)


def test_an_attached_cluster_is_read_as_the_sdk_reads_it(ml_client: MLClient, attached: str) -> None:
    found = ml_client.compute.get(attached)

    assert isinstance(found, KubernetesCompute)
    assert (found.namespace, found.resource_id) == ("ml", AKS)
    assert found.properties["instanceTypes"] == TYPES
    assert attached in {compute.name for compute in ml_client.compute.list()}


def test_a_cluster_without_an_address_is_refused(ml_client: MLClient) -> None:
    with pytest.raises(HttpResponseError, match="resourceId"):
        ml_client.compute.begin_create_or_update(KubernetesCompute(name="aks")).result()


@pytest.mark.parametrize("instance_type", ["small", None])
def test_a_job_runs_on_as_many_nodes_as_it_requests(
    emulator: Emulator, ml_client: MLClient, attached: str, instance_type: str | None
) -> None:
    emulator.context.settings.simulated_seconds = 0

    name = _submit(ml_client, attached, instance_type, nodes=12)

    assert eventually(lambda: ml_client.jobs.get(name).status == "Completed")


def test_a_job_with_an_unknown_instance_type_fails(ml_client: MLClient, emulator: Emulator, attached: str) -> None:
    name = _submit(ml_client, attached, "huge")

    assert eventually(lambda: ml_client.jobs.get(name).status == "Failed")
    job = emulator.context.store.workspaces[0].find_job(name)
    # Source: https://github.com/Azure-Samples/azure-ml-federated-learning/issues/334
    assert job is not None
    assert job.error is not None
    assert "Invalid instance type. The instance type defined resource requirement" in str(job.error)


def test_it_has_no_quota_and_can_be_detached(ml_client: MLClient, attached: str) -> None:
    assert all(usage.current_value in (0, None) for usage in ml_client.compute.list_usage())

    ml_client.compute.begin_delete(attached, action="Detach").result()

    assert attached not in {compute.name for compute in ml_client.compute.list()}


@pytest.mark.parametrize(
    ("instance_type", "memory_gb"), [("small", 4.0), (None, 2.0), ("unknown", 1.0), ("odd", 1.0), ("mega", 0.5)]
)
def test_the_memory_of_an_instance_type(instance_type: str | None, memory_gb: float) -> None:
    odd = {"resources": {"limits": {"memory": "a lot"}}}
    mega = {"resources": {"limits": {"memory": "512Mi"}}}
    inner = kubernetes.accepted({})
    inner["instanceTypes"] |= {**TYPES, "odd": odd, "mega": mega}

    assert kubernetes.memory_gb(inner, instance_type) == memory_gb
