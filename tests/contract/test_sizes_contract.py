"""VM sizes and quota, against Microsoft's examples and as the SDK reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import AmlCompute, ComputeInstance
from azure.identity import ClientSecretCredential
from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient

from tests.contract.arm import Arm, recorded, shape
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.aml.catalogue import catalogue


def sizes_in(arm: Arm, location: str) -> dict[str, dict[str, Any]]:
    answer = arm.call("GET", f"{subscription(arm)}/locations/{location}/vmSizes")
    return {size["name"]: size for size in answer.body["value"]}


def usages(arm: Arm, location: str = "westeurope") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = arm.call("GET", f"{subscription(arm)}/locations/{location}/usages").body["value"]
    return rows


def subscription(arm: Arm) -> str:
    return arm.workspace.split("/resourceGroups")[0] + "/providers/Microsoft.MachineLearningServices"


def used(rows: list[dict[str, Any]], name: str, kind: str) -> int:
    (row,) = [row for row in rows if row["name"]["value"] == name and row["type"].endswith(f"/{kind}/usages")]
    return int(row["currentValue"])


def test_a_size_is_described_as_in_microsofts_example(arm: Arm) -> None:
    example = recorded("example_vmsizes_list")["response_body"]
    offered = sizes_in(arm, "westeurope")

    for described in example["value"]:
        answered = offered[described["name"]]
        for size in (described, answered):  # prices and kinds are in no particular order
            size["estimatedVMPrices"]["values"].sort(key=str)
            size["supportedComputeTypes"].sort()
        # The example lacks what the service has come to add.
        assert {key: answered[key] for key in described} == described


@pytest.mark.azure_verified
def test_a_size_has_the_recorded_keys_in_the_recorded_order(arm: Arm) -> None:
    theirs = recorded("vmsizes_list_2025")["response_body"]["value"]

    mine = next(iter(sizes_in(arm, arm.region).values()))

    assert list(mine) == next(list(size) for size in theirs if "estimatedVMPrices" in size)
    assert shape(mine["estimatedVMPrices"]) == shape(theirs[2]["estimatedVMPrices"])


def test_the_catalogue_has_what_people_train_on(arm: Arm) -> None:
    offered = sizes_in(arm, "westeurope")

    assert len(offered) >= 60
    assert offered["Standard_NC8as_T4_v3"]["gpus"] == 1
    # Source: Microsoft, "Retired Azure VM size series".
    assert not {"Standard_NC6s_v3", "Standard_NC24rs_v3", "Standard_NV12s_v3"} & set(offered)
    assert offered["Standard_NC24ads_A100_v4"]["memoryGB"] == 220
    assert offered["Standard_NC4as_T4_v3"]["family"] == "Standard NCASv3_T4 Family"
    assert offered["Standard_HB120rs_v2"]["supportedComputeTypes"] == ["AmlCompute"]


def test_regions_differ(arm: Arm) -> None:
    assert "Standard_ND96isr_H100_v5" in sizes_in(arm, "eastus2")
    assert "Standard_ND96isr_H100_v5" not in sizes_in(arm, "westeurope")
    assert "Standard_DS3_v2" in sizes_in(arm, "polandcentral")


def test_usages_are_answered_as_recorded(arm: Arm) -> None:
    subscription_path = arm.workspace.split("/resourceGroups")[0]
    mine = {(row["type"], row["name"]["value"]): row for row in usages(arm)}

    for theirs in recorded("usages_list_2025")["response_body"]["value"]:
        answered = mine.get((theirs["type"], theirs["name"]["value"]))
        if answered is None:  # a family that is not in the catalogue
            assert theirs["name"]["value"] == "standardDFamily"
            continue
        assert list(answered) == list(theirs)
        path = theirs["id"].replace("/subscriptions/00000000-0000-0000-0000-000000000000", subscription_path)
        own = {"currentValue": answered["currentValue"], "limit": answered["limit"]}
        assert answered == {**theirs, **own, "id": path}


def test_usages_follow_one_another_as_recorded(arm: Arm) -> None:
    def kinds(rows: list[dict[str, Any]]) -> list[str]:
        return list(dict.fromkeys(row["type"] for row in rows))

    assert kinds(usages(arm)) == kinds(recorded("usages_list_2025")["response_body"]["value"])


def test_usage_is_counted_by_family_and_altogether(ml_client: MLClient, arm: Arm) -> None:
    cluster = AmlCompute(name="cpu", size="Standard_DS3_v2", min_instances=2, max_instances=4)
    spot = AmlCompute(name="spot", size="Standard_DS2_v2", min_instances=1, max_instances=4, tier="low_priority")
    instance = ComputeInstance(name="inst", size="Standard_DS2_v2")
    for compute in (cluster, spot, instance):
        ml_client.compute.begin_create_or_update(compute).result()

    rows = usages(arm)

    assert used(rows, "TotalClusters", "totalClusters") == 3
    assert used(rows, "TotalDedicatedCores", "totalDedicatedCores") == 2 * 4 + 2
    assert used(rows, "standardDSv2Family", "dedicatedCores") == 2 * 4 + 2
    assert used(rows, "TotalLowPriorityCores", "totalLowPriorityCores") == 2
    assert used(rows, "standardDSv2Family", "lowPriorityCores") == 2


def test_a_stopped_instance_keeps_its_quota(ml_client: MLClient, arm: Arm) -> None:
    ml_client.compute.begin_create_or_update(ComputeInstance(name="inst", size="Standard_DS3_v2")).result()

    ml_client.compute.begin_stop("inst").result()

    assert used(usages(arm), "standardDSv2Family", "dedicatedCores") == 4


def test_families_have_little_or_no_quota_for_gpus() -> None:
    limits = {size.family.name: size.family.dedicated_limit for size in catalogue().sizes if size.gpus}

    assert min(limits.values()) == 0
    assert max(limits.values()) <= 72
    assert all(100 <= size.family.dedicated_limit <= 350 for size in catalogue().sizes if size.name.startswith("D"))


def test_the_sdk_lists_sizes_and_usages(ml_client: MLClient) -> None:
    sizes = {size.name: size for size in ml_client.compute.list_sizes()}
    only_clusters = {size.name for size in ml_client.compute.list_sizes(compute_type="AmlCompute")}
    only_instances = {size.name for size in ml_client.compute.list_sizes(compute_type="ComputeInstance")}

    assert sizes["Standard_DS3_v2"].gpus == 0
    assert {"Standard_DS3_v2", "Standard_HB120rs_v2"} <= only_clusters
    assert "Standard_HB120rs_v2" not in only_instances
    limits = {usage.name["value"]: usage.limit for usage in ml_client.compute.list_usage(location="westeurope")}
    assert limits["TotalDedicatedCores"] == catalogue().total_dedicated_cores


def test_the_independent_client_lists_sizes_and_usages(emulator: Emulator, credential: ClientSecretCredential) -> None:
    workspace = emulator.context.store.workspaces[0]
    with MachineLearningServicesMgmtClient(
        credential,
        workspace.subscription_id,
        base_url=emulator.base_url,
        credential_scopes=["https://management.azure.com/.default"],
    ) as client:
        sizes: dict[str, Any] = {str(s.name): s for s in client.virtual_machine_sizes.list("eastus").value or []}
        rows: list[Any] = list(client.usages.list("eastus"))

    assert sizes["Standard_NC8as_T4_v3"].v_cp_us == 8
    prices = sizes["Standard_NC8as_T4_v3"].estimated_vm_prices.values
    assert {(price.os_type, price.vm_tier) for price in prices} == {
        (system, tier) for system in ("Linux", "Windows") for tier in ("Standard", "LowPriority")
    }
    assert "Standard NCASv3_T4 Family" in {row.name.value for row in rows}


def test_another_subscription_is_not_known(arm: Arm) -> None:
    path = re.sub("/subscriptions/[^/]+", "/subscriptions/11111111-1111-1111-1111-111111111111", subscription(arm))

    answer = arm.call("GET", f"{path}/locations/eastus/vmSizes")

    assert answer.status == 404
    assert answer.body["error"]["code"] == "SubscriptionNotFound"


@pytest.mark.parametrize("path", ["vmsizes", "VMSIZES", "Usages"])
def test_words_of_a_path_match_in_any_case(arm: Arm, path: str) -> None:
    assert arm.call("GET", f"{subscription(arm)}/Locations/eastus/{path}").status == 200
