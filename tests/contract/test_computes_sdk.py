"""Computes through clients that nobody here wrote: the SDK, and one of Microsoft's own making."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import AmlCompute, ComputeInstance, Environment
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient
from azure.mgmt.machinelearningservices import models as rest

from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator


def test_a_cluster_is_created_changed_and_deleted(ml_client: MLClient) -> None:
    wanted = AmlCompute(
        name="cpu",
        size="Standard_DS3_v2",
        min_instances=0,
        max_instances=2,
        idle_time_before_scale_down=120,
        tier="low_priority",
        tags={"team": "vision"},
    )

    created = ml_client.compute.begin_create_or_update(wanted).result()

    assert (created.size, created.tier, created.max_instances) == (
        "STANDARD_DS3_V2",
        "low_priority",
        2,
    )
    assert created.idle_time_before_scale_down == 120
    assert created.provisioning_state.value == "Succeeded"
    assert created.tags == {"team": "vision"}

    wanted.max_instances = 5
    assert ml_client.compute.begin_create_or_update(wanted).result().max_instances == 5

    ml_client.compute.begin_delete("cpu").result()
    with pytest.raises(ResourceNotFoundError):
        ml_client.compute.get("cpu")


def test_an_instance_is_stopped_and_started(ml_client: MLClient) -> None:
    instance = ComputeInstance(name="inst", size="Standard_DS3_v2", idle_time_before_shutdown_minutes=30)
    created = ml_client.compute.begin_create_or_update(instance).result()
    assert created.state.value == "Running"
    assert created.last_operation["operationName"] == "Create"
    assert created.idle_time_before_shutdown == "PT30M"

    ml_client.compute.begin_stop("inst").result()
    assert ml_client.compute.get("inst").state.value == "Stopped"
    ml_client.compute.begin_start("inst").result()
    assert ml_client.compute.get("inst").state.value == "Running"
    ml_client.compute.begin_restart("inst").result()
    assert ml_client.compute.get("inst").state.value == "Running"


def test_what_cannot_be_made_says_why(ml_client: MLClient) -> None:
    with pytest.raises(HttpResponseError, match="quota of 0") as refusal:
        ml_client.compute.begin_create_or_update(
            AmlCompute(name="gpu", size="Standard_ND40rs_v2", max_instances=1)
        ).result()

    assert "ClusterMinNodesExceedCoreQuota" in str(refusal.value)
    assert ml_client.compute.get("gpu").provisioning_state.value == "Failed"


def test_a_running_job_is_seen_on_its_node(ml_client: MLClient) -> None:
    ml_client.compute.begin_create_or_update(AmlCompute(name="cpu", size="Standard_DS3_v2", max_instances=2)).result()
    job = ml_client.jobs.create_or_update(
        command(
            command="train",
            environment=Environment(image="ubuntu"),
            compute="cpu",
            environment_variables={"SIMULATE_SECONDS": "60"},
        )
    )

    nodes = eventually(lambda: list(ml_client.compute.list_nodes("cpu")))

    # The SDK (1.35) keeps a node's properties under their names on the wire.
    assert [vars(node)["runId"] for node in nodes] == [job.name]
    assert vars(nodes[0])["nodeState"] == "running"


def test_computes_are_listed_page_by_page(emulator: Emulator, ml_client: MLClient) -> None:
    emulator.context.settings.page_size = 2
    names = ["first", "second", "third"]
    for name in names:
        ml_client.compute.begin_create_or_update(
            AmlCompute(name=name, size="Standard_DS2_v2", max_instances=1)
        ).result()

    assert [compute.name for compute in ml_client.compute.list()] == names  # compute_list_2024.json


@pytest.fixture
def management(emulator: Emulator, credential: ClientSecretCredential) -> Iterator[MachineLearningServicesMgmtClient]:
    workspace = emulator.context.store.workspaces[0]
    with MachineLearningServicesMgmtClient(
        credential,
        workspace.subscription_id,
        base_url=emulator.base_url,
        credential_scopes=["https://management.azure.com/.default"],
        polling_interval=0.05,
    ) as client:
        yield client


def inner(resource: rest.ComputeResource) -> Any:
    """The properties of one kind of compute, inside those that all kinds have."""
    compute: Any = resource.properties
    return compute.properties


def test_the_independent_client_makes_and_changes_a_cluster(
    emulator: Emulator, management: MachineLearningServicesMgmtClient
) -> None:
    workspace = emulator.context.store.workspaces[0]
    where = (workspace.resource_group, workspace.name, "cpu")
    scale = rest.ScaleSettings(
        max_node_count=3, min_node_count=1, node_idle_time_before_scale_down=timedelta(minutes=5)
    )
    body = rest.ComputeResource(
        location=workspace.location,
        properties=rest.AmlCompute(
            properties=rest.AmlComputeProperties(vm_size="Standard_DS2_v2", scale_settings=scale)
        ),
    )

    created = management.compute.begin_create_or_update(*where, body).result()

    assert inner(created).vm_size == "STANDARD_DS2_V2"
    assert inner(created).current_node_count == 1
    assert len(list(management.compute.list_nodes(*where))) == 1
    scale.max_node_count = 9
    change = rest.ClusterUpdateParameters(properties=rest.ScaleSettingsInformation(scale_settings=scale))
    changed = management.compute.begin_update(*where, change).result()
    assert inner(changed).scale_settings.max_node_count == 9
    management.compute.begin_delete(*where, underlying_resource_action="Delete").result()
    assert list(management.compute.list(*where[:2])) == []


def test_the_independent_client_stops_and_starts_an_instance(
    emulator: Emulator, management: MachineLearningServicesMgmtClient
) -> None:
    workspace = emulator.context.store.workspaces[0]
    where = (workspace.resource_group, workspace.name, "inst")
    body = rest.ComputeResource(
        location=workspace.location,
        identity=rest.ManagedServiceIdentity(type="SystemAssigned"),
        properties=rest.ComputeInstance(properties=rest.ComputeInstanceProperties(vm_size="Standard_DS2_v2")),
    )

    created = management.compute.begin_create_or_update(*where, body).result()
    identity: Any = created.identity
    assert identity.principal_id
    management.compute.begin_stop(*where).result()
    stopped = management.compute.get(*where)
    assert inner(stopped).state == "Stopped"
    assert inner(stopped).last_operation.operation_name == "Stop"
    management.compute.begin_start(*where).result()
    assert inner(management.compute.get(*where)).state == "Running"
