"""Which VM size is chosen, what quota has to say, and what an error names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.azure.sizes.quota import FamilyQuota, Quota, check_quota
from zenml_azureml.azure.sizes.selection import SizeChoice, check_explicit_size, choose_size, find_size
from zenml_azureml.azure.sizes.vm_size import ComputeKind, ResourceRequest, VmSize
from zenml_azureml.clouds import AZURE
from zenml_azureml.emulator.services.aml.catalogue import catalogue, size_body
from zenml_azureml.exceptions import AzureMLError

REGION = "westeurope"
ADDRESS = WorkspaceAddress("sub", "rg", "ws", AZURE)
NO_LIMITS = Quota(REGION, ())


def offered(body: dict[str, Any]) -> VmSize:
    """A size as the service answers it, read by hand."""
    prices = {p["vmTier"]: p["retailPrice"] for p in body["estimatedVMPrices"]["values"] if p["osType"] == "Linux"}
    return VmSize(
        name=body["name"],
        family=body["family"],
        vcpus=body["vCPUs"],
        gpus=body["gpus"],
        memory_gb=body["memoryGB"],
        low_priority_capable=body["lowPriorityCapable"],
        compute_types=tuple(body["supportedComputeTypes"]),
        price_per_hour=prices["Standard"],
        low_priority_price_per_hour=prices.get("LowPriority"),
    )


SIZES = {size.name: offered(size_body(size)) for size in catalogue().sizes if size.family.retired_on is None}
A100 = SIZES["Standard_NC24ads_A100_v4"]


def chosen(
    request: ResourceRequest, quota: Quota = NO_LIMITS, kind: ComputeKind = "compute-cluster", **others: Any
) -> str:
    return choose_size(request, list(SIZES.values()), quota, kind=kind, **others).size.name


def dedicated(family: str, limit: int, used: int = 0) -> FamilyQuota:
    return FamilyQuota(family, low_priority=False, limit=limit, used=used)


def low_priority(limit: int, used: int = 0) -> FamilyQuota:
    return FamilyQuota("TotalLowPriorityCores", low_priority=True, limit=limit, used=used)


def all_families(limit: int = 1000) -> list[FamilyQuota]:
    return [dedicated(family, limit) for family in sorted({size.family for size in SIZES.values()})]


# What is chosen


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ResourceRequest(cpus=1), "Standard_DS1_v2"),
        (ResourceRequest(cpus=7.5, memory_gb=16), "Standard_F8s_v2"),
        (ResourceRequest(memory_gb=100), "Standard_E16s_v3"),
        # NV6ads_A10_v5 is cheaper, but has a sixth of a GPU (Azure: "NV A10 v5-series").
        (ResourceRequest(gpus=1), "Standard_NC4as_T4_v3"),
        (ResourceRequest(gpu_memory_gb=4), "Standard_NV6ads_A10_v5"),
        (ResourceRequest(gpus=1, gpu_memory_gb=8), "Standard_NC4as_T4_v3"),
        (ResourceRequest(gpus=1, gpu_memory_gb=20), "Standard_NV36ads_A10_v5"),
        (ResourceRequest(gpus=2, gpu_memory_gb=4), "Standard_NC64as_T4_v3"),
        (ResourceRequest(gpus=1, gpu_class="A10"), "Standard_NV36ads_A10_v5"),
        (ResourceRequest(gpus=1, gpu_class="A10", gpu_memory_gb=8), "Standard_NV12ads_A10_v5"),
        (ResourceRequest(gpus=1, gpu_class="t4"), "Standard_NC4as_T4_v3"),
        (ResourceRequest(gpu_class="nvidia-tesla-t4"), "Standard_NC4as_T4_v3"),
        (ResourceRequest(gpus=2, gpu_class="A100"), "Standard_NC48ads_A100_v4"),
        (ResourceRequest(gpus=8, gpu_class="V100"), "Standard_ND40rs_v2"),
        (ResourceRequest(gpus=8, gpu_class="H100"), "Standard_ND96isr_H100_v5"),
    ],
)
def test_the_cheapest_size_that_is_big_enough_is_chosen(request_: ResourceRequest, expected: str) -> None:
    assert chosen(request_) == expected


def test_a_request_without_gpus_gets_none_even_where_that_would_be_cheaper() -> None:
    bargain = replace(A100, price_per_hour=0.01)
    cpu = SIZES["Standard_D8s_v3"]

    assert choose_size(ResourceRequest(cpus=2), [bargain, cpu], NO_LIMITS, kind="serverless").size is cpu


def test_a_size_that_the_kind_of_compute_cannot_have_is_passed_over() -> None:
    request = ResourceRequest(cpus=100)

    assert chosen(request, kind="compute-cluster") == "Standard_HB120rs_v2"
    assert chosen(request, kind="serverless") == "Standard_HB120rs_v2"
    with pytest.raises(AzureMLError, match=r"Standard_HB120rs_v2 .* has no support for compute-instance"):
        choose_size(request, [SIZES["Standard_HB120rs_v2"]], NO_LIMITS, kind="compute-instance")


def test_low_priority_has_its_own_price_and_passes_over_what_cannot_be_had_so() -> None:
    sizes = [SIZES["Standard_ND96isr_H100_v5"], replace(A100, low_priority_price_per_hour=0.4), A100]

    choice = choose_size(ResourceRequest(gpus=1), sizes, NO_LIMITS, kind="compute-cluster", low_priority=True)

    assert choice.price_per_hour == 0.4
    assert choice.describe() == (
        "Standard_NC24ads_A100_v4 (24 vCPU, 1 GPU with 80 GB, 220 GB), about 0.40 USD per hour and node at low priority"
    )


def test_a_family_whose_quota_is_used_up_is_passed_over() -> None:
    request = ResourceRequest(gpus=1, gpu_class="A100")
    others = [row for row in all_families() if row.family != A100.family]

    assert chosen(request, Quota(REGION, (*others, dedicated(A100.family, 96, used=72)))) == A100.name
    assert chosen(request, Quota(REGION, (*others, dedicated(A100.family, 96, used=73)))) == "Standard_ND96asr_v4"


def test_all_nodes_have_to_fit_in_the_quota() -> None:
    quota = Quota(REGION, (*(row for row in all_families() if row.family != A100.family), dedicated(A100.family, 96)))

    assert chosen(ResourceRequest(gpu_class="A100"), quota, nodes=4) == A100.name
    assert chosen(ResourceRequest(gpu_class="A100"), quota, nodes=5) == "Standard_ND96asr_v4"


def test_a_family_that_the_quota_does_not_list_is_the_last_resort() -> None:
    request = ResourceRequest(gpu_class="A100")

    assert chosen(request, Quota(REGION, (dedicated("Standard NDASv4_A100 Family", 96),))) == "Standard_ND96asr_v4"
    assert chosen(request, Quota(REGION, (dedicated("Standard NDASv4_A100 Family", 95),))) == A100.name


def test_sizes_without_a_price_come_last_and_ties_go_to_the_smaller_then_by_name() -> None:
    def size(name: str, vcpus: int, memory_gb: float, price: float | None) -> VmSize:
        return VmSize(name, "family", vcpus, 0, memory_gb, True, ("AmlCompute",), price, None)

    in_order = [
        size("Standard_Z", 2, 8, 0.1),
        size("Standard_Y", 4, 8, 0.1),
        size("Standard_X", 4, 16, 0.1),
        size("Standard_A", 4, 32, 0.1),
        size("Standard_B", 4, 32, 0.1),
        size("Standard_C", 1, 2, 0.2),
        size("Standard_D", 1, 2, None),
    ]

    left = sorted(in_order, key=lambda size: size.memory_gb, reverse=True)
    for expected in in_order:
        best = choose_size(ResourceRequest(), left, NO_LIMITS, kind="compute-cluster").size
        assert best is expected
        left.remove(best)


def test_a_choice_describes_itself() -> None:
    described = {
        "Standard_NC4as_T4_v3": "(4 vCPU, 1 GPU with 16 GB, 28 GB), about 0.53 USD per hour and node",
        "Standard_NC64as_T4_v3": "(64 vCPU, 4 GPU with 16 GB each, 440 GB), about 4.35 USD per hour and node",
        "Standard_NV6ads_A10_v5": "(6 vCPU, 1/6 GPU with 4 GB, 55 GB), about 0.45 USD per hour and node",
    }
    for name, words in described.items():
        assert SizeChoice(SIZES[name]).describe() == f"{name} {words}"
    assert SizeChoice(replace(SIZES["Standard_DS1_v2"], price_per_hour=None)).describe() == (
        "Standard_DS1_v2 (1 vCPU, 3.5 GB), price unknown"
    )


@pytest.mark.parametrize(
    ("request_", "empty"),
    [
        (ResourceRequest(), True),
        (ResourceRequest(gpus=0), True),
        (ResourceRequest(gpus=1), False),
        (ResourceRequest(gpu_class="T4"), False),
        (ResourceRequest(gpu_memory_gb=4), False),
        (ResourceRequest(cpus=0.5), False),
        (ResourceRequest(memory_gb=1), False),
    ],
)
def test_a_request_for_nothing_is_known(request_: ResourceRequest, empty: bool) -> None:
    assert request_.is_empty is empty


def test_a_class_of_no_gpu_is_refused() -> None:
    with pytest.raises(AzureMLError, match=r"gpu_class='A100'.*gpu_count=0"):
        ResourceRequest(gpus=0, gpu_class="A100")


# What an error names


def test_what_nothing_serves_names_the_nearest_and_what_each_lacks() -> None:
    quota = Quota(
        REGION, (*(row for row in all_families() if row.family != A100.family), dedicated(A100.family, 96, 80))
    )

    with pytest.raises(AzureMLError) as failed:
        chosen(ResourceRequest(cpus=4, gpu_class="A100", memory_gb=100), quota, "compute-instance", nodes=30)

    assert str(failed.value).splitlines()[:4] == [
        "No VM size in `westeurope` that there is quota for offers at least 4 vCPU, 1 A100 GPU, 100 GB "
        "(30 nodes of compute-instance). The nearest:",
        "  Standard_NC24ads_A100_v4 (24 vCPU, 1 GPU with 80 GB, 220 GB) has no quota left (limit 96, used 80, needed "
        "720 vCPU of StandardNCADSA100v4Family)",
        "  Standard_NC48ads_A100_v4 (48 vCPU, 2 GPU with 80 GB each, 440 GB) has no quota left (limit 96, used 80, "
        "needed 1440 vCPU of StandardNCADSA100v4Family)",
        "  Standard_NC96ads_A100_v4 (96 vCPU, 4 GPU with 80 GB each, 880 GB) has no quota left (limit 96, used 80, "
        "needed 2880 vCPU of StandardNCADSA100v4Family)",
    ]
    assert "https://ml.azure.com/quota" in str(failed.value)


def test_the_nearest_size_is_the_one_that_lacks_least() -> None:
    with pytest.raises(AzureMLError) as failed:
        chosen(ResourceRequest(memory_gb=500), kind="compute-cluster")

    assert str(failed.value).splitlines()[1] == "  Standard_HB120rs_v2 (120 vCPU, 456 GB) has 456 of 500 GB"
    assert "quota at" not in str(failed.value)


def test_a_gpu_that_the_region_does_not_have_is_answered_with_those_it_has() -> None:
    here = [SIZES["Standard_NC4as_T4_v3"], A100]

    with pytest.raises(AzureMLError) as failed:
        choose_size(ResourceRequest(gpu_class="H200"), here, NO_LIMITS, kind="compute-cluster")

    assert "Standard_NC4as_T4_v3 (4 vCPU, 1 GPU with 16 GB, 28 GB) has GPUs of class T4, not H200" in str(failed.value)
    assert "GPUs that `westeurope` has: A100, T4" in str(failed.value)


def test_a_region_that_offers_nothing_is_an_error_too() -> None:
    with pytest.raises(AzureMLError, match=r"No VM size in `westeurope`"):
        choose_size(ResourceRequest(cpus=1), [], NO_LIMITS, kind="serverless")


def test_a_size_is_found_in_any_case() -> None:
    assert find_size("STANDARD_NC24ADS_A100_V4", list(SIZES.values()), REGION, ADDRESS) is A100


def test_an_unknown_size_is_answered_with_the_nearest_names_and_the_region() -> None:
    with pytest.raises(AzureMLError, match=r"`Standard_NC24ads_v4` in `westeurope`. Did you mean `Standard_NC24ads_"):
        find_size("Standard_NC24ads_v4", list(SIZES.values()), REGION, ADDRESS)


def test_a_size_by_name_that_is_too_small_is_warned_about_once_per_resource() -> None:
    request = ResourceRequest(cpus=4, gpus=2, gpu_class="H100", memory_gb=300)

    warnings = check_explicit_size(A100, request)

    assert [warning.split(" has ")[1] for warning in warnings] == [
        "1 of 2 GPU.",
        "220 of 300 GB.",
        "GPUs of class A100, not H100.",
    ]
    assert check_explicit_size(SIZES["Standard_ND96isr_H100_v5"], request) == []
    assert check_explicit_size(A100, ResourceRequest()) == []


# Quota


def test_a_family_without_enough_quota_is_a_shortage() -> None:
    quota = Quota(REGION, (dedicated("STANDARDNCADSA100V4FAMILY", 96, used=80), dedicated("TotalDedicatedCores", 500)))

    shortage = check_quota(A100, quota, 2, False)

    assert shortage is not None
    assert (shortage.limit, shortage.used, shortage.needed) == (96, 80, 48)
    assert "is too small for 2 nodes of Standard_NC24ads_A100_v4 (24 vCPU each): limit 96, used 80, needed 48" in (
        shortage.explain()
    )
    for named in ("https://ml.azure.com/quota", "how-to-manage-quotas", "quota_check='warn'"):
        assert named in str(shortage.error())


def test_the_regions_total_counts_too() -> None:
    quota = Quota(REGION, (dedicated(A100.family, 24), dedicated("TotalDedicatedCores", 100, used=95)))

    shortage = check_quota(A100, quota, 1, False)

    assert shortage is not None
    assert shortage.quota.family == "TotalDedicatedCores"


def test_low_priority_nodes_count_against_their_own_pool_only() -> None:
    unlimited = FamilyQuota(A100.family, low_priority=True, limit=None, used=18)
    quota = Quota(REGION, (dedicated(A100.family, 0), unlimited, low_priority(48, used=24)))

    assert check_quota(A100, quota, 1, True) is None
    shortage = check_quota(A100, quota, 2, True)
    assert shortage is not None
    assert shortage.quota.family == "TotalLowPriorityCores"


def test_nodes_that_a_cluster_may_hold_already_are_not_counted_twice() -> None:
    quota = Quota(REGION, (dedicated(A100.family, 96, used=96),))

    assert check_quota(A100, quota, 4, False) is not None
    assert check_quota(A100, quota, 4, False, held_nodes=4) is None
    assert check_quota(A100, quota, 5, False, held_nodes=5) is not None


def test_what_is_not_listed_is_left_to_azure() -> None:
    assert check_quota(A100, NO_LIMITS, 1000, False) is None
