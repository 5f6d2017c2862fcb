"""VM sizes and quota, through the real SDK on an emulator: what is read, how often, and what becomes of a step."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from azure.ai.ml import MLClient, entities
from azure.identity import ClientSecretCredential

from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.sizes.catalogue import SizeCatalogue
from zenml_azureml.azure.sizes.parsing import quota_rows, vm_size
from zenml_azureml.azure.sizes.quota import FamilyQuota
from zenml_azureml.azure.sizes.selection import SizeChoice
from zenml_azureml.azure.sizes.sizing import settle_size
from zenml_azureml.azure.sizes.vm_size import ResourceRequest
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.aml.catalogue import catalogue
from zenml_azureml.exceptions import AzureMLError

NOTHING = ResourceRequest()


@pytest.fixture
def connection(emulator: Emulator, credential: ClientSecretCredential) -> WorkspaceConnection:
    workspace = emulator.context.store.workspaces[0]
    address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name)
    return WorkspaceConnection(address, lambda: credential)


@pytest.fixture
def region(emulator: Emulator) -> str:
    return emulator.context.store.workspaces[0].location


@pytest.fixture
def offer(connection: WorkspaceConnection) -> SizeCatalogue:
    return SizeCatalogue(connection)


def asked(emulator: Emulator) -> Counter[str]:
    """What Azure ML was asked, by the last word of the path; tokens are another matter."""
    paths = [entry["path"] for entry in requests_of(emulator) if "/providers/" in entry["path"]]
    return Counter("workspace" if "/workspaces/" in path else path.rsplit("/", 1)[1] for path in paths)


def refuse(emulator: Emulator, path: str) -> None:
    fault: dict[str, Any] = {
        "path": path,
        "times": 9,
        "status": 403,
        "body": {"error": {"code": "AuthorizationFailed", "message": "You may not."}},
    }
    url = f"{emulator.base_url}/_emulator/faults"
    headers = emulator.admin_headers
    requests.post(url, json=fault, headers=headers, verify=str(emulator.ca_bundle), timeout=10).raise_for_status()


def settled(offer: SizeCatalogue, size: str | None = None, request: ResourceRequest = NOTHING, **others: Any) -> str:
    choice = settle_size(offer, size=size, request=request, kind="compute-cluster", **others)
    assert choice is not None
    return choice.size.name


# What is read


def test_sizes_are_read_with_all_that_the_choice_needs(offer: SizeCatalogue, region: str) -> None:
    sizes = {size.name: size for size in offer.sizes() or ()}

    assert offer.region == region
    assert list(sizes) == [size.name for size in catalogue().sizes_in(region)]
    size = sizes["Standard_NC8as_T4_v3"]
    assert (size.family, size.vcpus, size.gpus, size.memory_gb) == ("Standard NCASv3_T4 Family", 8, 1, 56)
    assert (size.price_per_hour, size.low_priority_price_per_hour) == (0.75, 0.15)
    assert size.low_priority_capable
    assert size.supports("compute-instance")
    assert not sizes["Standard_HB120rs_v2"].supports("compute-instance")


def test_quota_is_read_with_what_is_used(offer: SizeCatalogue, ml_client: MLClient, region: str) -> None:
    for name, tier in (("gpu", "dedicated"), ("spot", "low_priority")):
        cluster = entities.AmlCompute(name=name, size="Standard_NC8as_T4_v3", min_instances=2, tier=tier)
        ml_client.compute.begin_create_or_update(cluster).result()

    rows = offer.quota().rows

    assert FamilyQuota("Standard NCASv3_T4 Family", low_priority=False, limit=32, used=16) in rows
    assert FamilyQuota("Standard NCASv3_T4 Family", low_priority=True, limit=None, used=16) in rows
    assert FamilyQuota("TotalDedicatedCores", low_priority=False, limit=500, used=16) in rows
    assert FamilyQuota("TotalLowPriorityCores", low_priority=True, limit=300, used=16) in rows
    # Rows of the workspace and of its computes repeat a part: none of them is taken for a family's.
    assert len(rows) == 2 * len(catalogue().families_in(region)) + 2


def test_an_older_sdk_spells_the_same_otherwise() -> None:
    """As azure-ai-ml 1.23 fills its own classes."""
    price = {"retail_price": 0.75, "os_type": "Linux", "vm_tier": "Standard"}
    size = SimpleNamespace(
        name="Standard_NC8as_T4_v3",
        family="Standard NCASv3_T4 Family",
        v_cp_us=8,
        gpus=1,
        memory_gb=56.0,
        low_priority_capable=True,
        estimated_vm_prices={"billing_currency": "USD", "unit_of_measure": "OneHour", "values": [price]},
        supported_compute_types=["AmlCompute"],
    )
    usage = SimpleNamespace(
        type="Microsoft.MachineLearningServices/vmFamily/dedicatedCores/usages",
        current_value=8,
        limit=32,
        name={
            "value": "Standard NCASv3_T4 Family",
            "localized_value": "Standard NCASv3_T4 Family Cluster Dedicated vCPUs",
        },
    )

    assert (
        SizeChoice(vm_size(size))
        .describe()
        .endswith("(8 vCPU, 1 GPU with 16 GB, 56 GB), about 0.75 USD per hour and node")
    )
    assert list(quota_rows(usage)) == [FamilyQuota("Standard NCASv3_T4 Family", low_priority=False, limit=32, used=8)]


def test_a_subscription_that_has_used_nothing_yet_has_used_nothing() -> None:
    usage = SimpleNamespace(
        type="Microsoft.MachineLearningServices/totalDedicatedCores/usages",
        limit=20,
        name={"value": "TotalDedicatedCores"},
        currentValue=None,
    )

    assert list(quota_rows(usage)) == [FamilyQuota("TotalDedicatedCores", low_priority=False, limit=20, used=0)]


# How often


def test_nothing_is_asked_where_there_is_nothing_to_choose_or_check(emulator: Emulator, offer: SizeCatalogue) -> None:
    assert settle_size(offer, size=None, request=NOTHING, kind="serverless") is None
    assert settle_size(offer, size="Standard_DS3_v2", request=NOTHING, kind="serverless", quota_check="off") is None

    assert requests_of(emulator) == []


def test_any_number_of_threads_asks_once(emulator: Emulator, connection: WorkspaceConnection) -> None:
    """Each with a catalogue of its own, as steps have."""
    together = Barrier(64)

    def settle(number: int) -> str:
        together.wait()
        return settled(SizeCatalogue(connection), request=ResourceRequest(cpus=1 + number % 4))

    with ThreadPoolExecutor(64) as threads:
        chosen = Counter(threads.map(settle, range(64)))

    assert chosen == {"Standard_DS1_v2": 16, "Standard_F2s_v2": 16, "Standard_F4s_v2": 32}
    counted = asked(emulator)
    assert (counted["vmSizes"], counted["usages"]) == (1, 1)


def test_another_connection_of_the_process_asks_only_where_its_workspace_is(
    emulator: Emulator, connection: WorkspaceConnection, credential: ClientSecretCredential
) -> None:
    settled(SizeCatalogue(connection), "Standard_DS3_v2")
    settled(SizeCatalogue(WorkspaceConnection(connection.address, lambda: credential)), "Standard_DS3_v2")

    assert asked(emulator) == {"vmSizes": 1, "usages": 1, "workspace": 2}


def test_the_workspace_is_not_asked_where_the_region_is_given(
    emulator: Emulator, connection: WorkspaceConnection
) -> None:
    settled(SizeCatalogue(connection, "EastUS2"), "Standard_DS3_v2")
    settled(SizeCatalogue(connection, "eastus2"), "Standard_DS3_v2")

    assert asked(emulator) == {"vmSizes": 1, "usages": 1}


def test_regions_are_kept_apart(connection: WorkspaceConnection) -> None:
    def sizes_in(region: str) -> set[str]:
        return {size.name for size in SizeCatalogue(connection, region).sizes() or ()}

    assert "Standard_ND96isr_H100_v5" in sizes_in("eastus2")
    assert "Standard_ND96isr_H100_v5" not in sizes_in("polandcentral")


def test_quota_is_not_asked_for_where_it_is_not_checked(emulator: Emulator, offer: SizeCatalogue) -> None:
    settled(offer, request=ResourceRequest(cpus=4), quota_check="off")

    assert asked(emulator) == {"vmSizes": 1, "workspace": 1}


def test_a_failure_is_explained_and_asked_again_by_the_next(
    emulator: Emulator, connection: WorkspaceConnection, credential: ClientSecretCredential
) -> None:
    nowhere = WorkspaceAddress(connection.address.subscription_id, connection.address.resource_group, "nowhere")
    broken = SizeCatalogue(WorkspaceConnection(nowhere, lambda: credential))

    for _ in range(2):
        with pytest.raises(AzureMLError, match=r"Failed to find the workspace's region .*`nowhere`"):
            broken.sizes()

    assert asked(emulator) == {"workspace": 2}


# What becomes of a step


def test_a_size_by_name_wins_with_a_warning_where_it_is_smaller(
    offer: SizeCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    assert settled(offer, "standard_ds3_v2", ResourceRequest(cpus=8)) == "Standard_DS3_v2"

    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "ask for at least 8 vCPU" in warning
    assert "Standard_DS3_v2 (4 vCPU, 14 GB) has 4 of 8 vCPU" in warning


def test_a_size_that_the_region_does_not_offer_is_an_error(offer: SizeCatalogue) -> None:
    with pytest.raises(AzureMLError, match=r"no VM size `Standard_DS3v2` in `\w+`. Did you mean `Standard_DS3_v2`"):
        settled(offer, "Standard_DS3v2")


def test_a_step_without_quota_fails_with_all_that_is_to_be_known(offer: SizeCatalogue) -> None:
    with pytest.raises(AzureMLError) as failed:
        settled(offer, "Standard_NC8as_T4_v3", nodes=5)

    for known in (
        "Standard NCASv3_T4 Family",
        "limit 32",
        "used 0",
        "needed 40",
        "https://ml.azure.com/quota",
        "quota_check",
    ):
        assert known in str(failed.value)


def test_a_step_without_quota_may_wait_instead(offer: SizeCatalogue, caplog: pytest.LogCaptureFixture) -> None:
    assert settled(offer, "Standard_NC8as_T4_v3", nodes=5, quota_check="warn") == "Standard_NC8as_T4_v3"
    assert "limit 32, used 0, needed 40 vCPU of Standard NCASv3_T4 Family. The job may wait" in caplog.text

    caplog.clear()
    h100 = ResourceRequest(gpu_class="H100")
    choice = settle_size(offer, size=None, request=h100, kind="serverless", quota_check="warn")
    assert choice is not None
    assert "H100" in choice.size.name
    assert "limit 0, used 0" in caplog.text


def test_the_cluster_that_holds_the_quota_may_use_it(offer: SizeCatalogue, ml_client: MLClient) -> None:
    cluster = entities.AmlCompute(name="gpu", size="Standard_NC8as_T4_v3", min_instances=4, max_instances=4)
    ml_client.compute.begin_create_or_update(cluster).result()

    assert settled(offer, "STANDARD_NC8AS_T4_V3", nodes=1, held_nodes=4) == "Standard_NC8as_T4_v3"
    with pytest.raises(AzureMLError, match="limit 32, used 32, needed 8"):
        settled(offer, "Standard_NC8as_T4_v3", nodes=1)


def test_a_cluster_of_a_size_that_is_offered_no_more_is_left_alone(offer: SizeCatalogue) -> None:
    left_alone = settle_size(offer, size="STANDARD_NC6", request=NOTHING, kind="compute-cluster", held_nodes=4)

    assert left_alone is None


def test_who_may_not_list_quota_is_warned_once_and_served(
    emulator: Emulator, offer: SizeCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(emulator, "/usages$")

    for _ in range(2):
        assert settled(offer, "Standard_NC8as_T4_v3", nodes=5) == "Standard_NC8as_T4_v3"

    assert caplog.text.count("may not list the quota") == 1
    assert "(AuthorizationFailed) You may not." in caplog.text
    assert asked(emulator)["usages"] == 1


def test_who_may_not_list_sizes_can_still_name_one_but_not_have_one_chosen(
    emulator: Emulator, offer: SizeCatalogue
) -> None:
    refuse(emulator, "/vmSizes$")

    assert settle_size(offer, size="Standard_NC8as_T4_v3", request=NOTHING, kind="serverless") is None
    with pytest.raises(AzureMLError, match="may not list the sizes") as failed:
        settled(offer, request=ResourceRequest(cpus=4))
    assert "Reader" in str(failed.value)
    assert asked(emulator)["vmSizes"] == 1
