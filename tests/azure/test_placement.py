"""Compute, nodes and VM size settled together, through the real SDK."""

from __future__ import annotations

import pytest
from azure.core.credentials import TokenCredential

from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.compute.placement import ANYWHERE, Demands
from zenml_azureml.azure.compute.placing import place
from zenml_azureml.azure.compute.provisioner import ensure_compute
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.sizes.vm_size import ResourceRequest
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeCluster, ComputeInstance, ComputeSpec, Serverless
from zenml_azureml.specs.job import JobOptions

CLUSTER = ComputeCluster("cpu", size="Standard_DS3_v2")

#: US dollars per hour that the emulator says it costs, dedicated and at low priority.
DS3_USD, DS3_SPOT_USD = 0.29, 0.06


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
    assert ANYWHERE.describe() == "serverless compute (Azure chooses the size, price unknown)"


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

    with pytest.raises(AzureMLError, match=r"requests 3 nodes .* but the compute `cpu` has at most 2"):
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


# What it will cost


@pytest.mark.parametrize(
    ("compute", "usd"),
    [
        (CLUSTER, DS3_USD),
        (ComputeCluster("spot", size="Standard_DS3_v2", tier="low_priority", location="northeurope"), DS3_SPOT_USD),
        (ComputeInstance("inst", size="Standard_DS3_v2"), DS3_USD),
    ],
    ids=["cluster", "low-priority", "instance"],
)
def test_a_compute_that_is_there_has_a_price_for_one_request_of_the_process(
    emulator: Emulator, connection: WorkspaceConnection, compute: ComputeSpec, usd: float
) -> None:
    nodes = 1 if isinstance(compute, ComputeInstance) else 3
    ensure_compute(connection, compute)
    before = len(requests_of(emulator))

    for _ in range(3):
        placement, _ = place(connection, compute, JobOptions(instance_count=nodes), Demands())

    assert not placement.target.created
    assert placement.price_per_hour == pytest.approx(usd)
    assert placement.usd_per_hour == pytest.approx(usd * nodes)
    name = placement.target.name
    asked = [request["path"].rpartition("/")[2] for request in requests_of(emulator)[before:]]
    assert asked == [name, "vmSizes", name, name]


def test_a_size_whose_quota_is_not_checked_has_a_price_too(emulator: Emulator, connection: WorkspaceConnection) -> None:
    two_spot = JobOptions(instance_type="Standard_DS3_v2", instance_count=2, job_tier="spot")

    for _ in range(2):
        placement, _ = place(connection, Serverless(), two_spot, Demands(quota_check="off"))

    assert placement.usd_per_hour == pytest.approx(2 * DS3_SPOT_USD)
    assert placement.describe() == (
        "serverless compute (Standard_DS3_v2, spot, about 0.06 USD per hour and node, 0.12 for 2 nodes)"
    )
    assert placement.where() == "serverless compute (Standard_DS3_v2, spot)"
    asked = [request["path"].rpartition("/")[2] for request in requests_of(emulator)]
    assert (asked.count("vmSizes"), asked.count("usages")) == (1, 0)


@pytest.mark.parametrize("status", [403, 503])
def test_a_price_that_is_not_to_be_had_is_unknown_and_stops_nothing(
    emulator: Emulator, connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    ensure_compute(connection, ComputeInstance("inst", size="Standard_DS3_v2"))
    Arm(emulator).call("POST", "/_emulator/faults", {"path": "/vmSizes$", "status": status, "times": 9})

    for _ in range(2):
        placement, _ = place(connection, ComputeInstance("inst"), JobOptions(), Demands())

    assert placement.describe() == "the compute instance `inst` (STANDARD_DS3_V2, price unknown)"
    asked = [request["path"].rpartition("/")[2] for request in requests_of(emulator)]
    assert asked.count("vmSizes") == 1
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_where_the_region_is_not_told_prices_are_unknown(emulator: Emulator, connection: WorkspaceConnection) -> None:
    Arm(emulator).call("POST", "/_emulator/faults", {"path": "/workspaces/[^/]*$", "status": 403, "times": 9})
    sized = JobOptions(instance_type="Standard_DS3_v2")

    placement, _ = place(connection, Serverless(), sized, Demands(quota_check="off"))

    assert placement.describe() == "serverless compute (Standard_DS3_v2, price unknown)"


# Capacity classes and retired sizes


FOR_CLASS = Demands(size="Standard_DS4_v2")


def test_the_size_for_a_capacity_class_is_used_on_serverless_compute(connection: WorkspaceConnection) -> None:
    placement, options = place(connection, Serverless(), JobOptions(), FOR_CLASS)

    assert (placement.size, options.instance_type) == ("Standard_DS4_v2", "Standard_DS4_v2")


def test_the_size_for_a_capacity_class_is_used_for_a_new_compute(
    emulator: Emulator, connection: WorkspaceConnection
) -> None:
    place(connection, ComputeCluster("cpu"), JobOptions(), FOR_CLASS)

    assert emulator.context.store.workspaces[0].computes["cpu"].inner["vmSize"] == "STANDARD_DS4_V2"


def test_a_size_in_the_settings_precedes_that_for_a_capacity_class(connection: WorkspaceConnection) -> None:
    serverless = JobOptions(instance_type="Standard_DS3_v2")

    assert place(connection, Serverless(), serverless, FOR_CLASS)[1] == serverless
    assert place(connection, CLUSTER, JobOptions(), FOR_CLASS)[0].size == "Standard_DS3_v2"


def test_a_chip_that_the_region_lacks_fails_no_step(
    connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = Demands(ResourceRequest(gpu_class="MI300X"), "off")

    placement, _ = place(connection, Serverless(), JobOptions(), wanted)

    assert placement.size == "Standard_NC4as_T4_v3"
    (warning,) = [message for message in caplog.messages if "gpu_class" in message]
    assert "`gpu_class='MI300X'` is not applied: no VM size of Azure ML in" in warning
    assert "T4" in warning


RETIRED = "Azure retired the VM size `Standard_NC6s_v3` on 2025-09-30; its successor is `Standard_NC24ads_A100_v4`."


@pytest.mark.parametrize("compute", [Serverless(), ComputeCluster("gpus", size="Standard_NC6s_v3")])
def test_a_retired_size_is_refused_with_its_day_and_successor_before_anything_is_created(
    emulator: Emulator, connection: WorkspaceConnection, compute: ComputeSpec
) -> None:
    serverless = JobOptions(instance_type="Standard_NC6s_v3" if isinstance(compute, Serverless) else None)

    with pytest.raises(AzureMLError) as raised:
        place(connection, compute, serverless, Demands())

    assert str(raised.value).startswith(RETIRED)
    assert emulator.context.store.workspaces[0].computes == {}


def test_azures_refusal_of_a_retired_size_is_explained(
    connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AzureMLError, match="is not a supported VM size"):
        place(connection, ComputeCluster("gpus", size="Standard_NC6s_v3"), JobOptions(), Demands(quota_check="off"))

    assert RETIRED in caplog.messages


def test_an_existing_compute_of_a_retired_size_is_used_with_a_warning(
    emulator: Emulator, connection: WorkspaceConnection, caplog: pytest.LogCaptureFixture
) -> None:
    place(connection, CLUSTER, JobOptions(), Demands())
    emulator.context.store.workspaces[0].computes["cpu"].inner["vmSize"] = "STANDARD_NC6S_V3"

    placement, _ = place(connection, ComputeCluster("cpu"), JobOptions(), Demands(ResourceRequest(gpus=1)))

    assert placement.size == "STANDARD_NC6S_V3"
    assert any("retired the VM size `STANDARD_NC6S_V3` on 2025-09-30" in message for message in caplog.messages)
