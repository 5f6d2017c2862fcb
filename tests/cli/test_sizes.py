"""`zenml-azureml sizes`: what a region offers, what it costs, and what there is quota for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.contract.arm import Arm
from zenml_azureml.azure.sizes.quota import FamilyQuota, Quota
from zenml_azureml.azure.sizes.search import Search, search_sizes
from zenml_azureml.azure.sizes.vm_size import ResourceRequest, VmSize

SMALL = VmSize("Standard_A", "a", 4, 0, 16, True, ("AmlCompute", "ComputeInstance"), 0.2, 0.05)
UNPRICED = VmSize("Standard_U", "u", 8, 0, 32, False, ("AmlCompute",), None, None)
GPU = VmSize("Standard_NC4as_T4_v3", "t4", 4, 1, 28, True, ("AmlCompute",), 0.5, 0.1)
QUOTA = Quota(
    "westeurope",
    (
        FamilyQuota("TotalDedicatedCores", False, 100, 90),
        FamilyQuota("TotalLowPriorityCores", True, 8, 0),
        FamilyQuota("a", False, 20, 2),
        FamilyQuota("t4", False, 0, 0),
    ),
)


def names(search: Search) -> list[str]:
    return [found.size.name for found in search_sizes((GPU, UNPRICED, SMALL), QUOTA, search)]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(), ["Standard_A", "Standard_NC4as_T4_v3", "Standard_U"]),
        (Search(ResourceRequest(cpus=8)), ["Standard_U"]),
        (Search(ResourceRequest(gpus=1)), ["Standard_NC4as_T4_v3"]),
        (Search(ResourceRequest(gpus=0)), ["Standard_A", "Standard_U"]),
        (Search(ResourceRequest(gpu_class="t4")), ["Standard_NC4as_T4_v3"]),
        (Search(ResourceRequest(gpu_class="A100")), []),
        (Search(ResourceRequest(memory_gb=28)), ["Standard_NC4as_T4_v3", "Standard_U"]),
        (Search(max_price=0.3), ["Standard_A"]),
        (Search(low_priority=True), ["Standard_A", "Standard_NC4as_T4_v3"]),
        (Search(low_priority=True, max_price=0.07), ["Standard_A"]),
        (Search(kind="compute-instance"), ["Standard_A"]),
        (Search(name="t4"), ["Standard_NC4as_T4_v3"]),
        (Search(with_room=True), ["Standard_A", "Standard_U"]),
    ],
)
def test_sizes_are_filtered_and_the_cheapest_comes_first(search: Search, found: list[str]) -> None:
    assert names(search) == found


def test_the_quota_that_is_nearest_to_its_end_tells_how_many_nodes_are_left() -> None:
    by_name = {found.size.name: found for found in search_sizes((SMALL, UNPRICED), QUOTA, Search())}
    low_priority = search_sizes((SMALL,), QUOTA, Search(low_priority=True))

    # Of its family, 18 vCPU are left; of the region, 10.
    assert (by_name["Standard_A"].nodes_left, by_name["Standard_A"].quota) == (2, QUOTA.rows[2])
    # Its family is not listed: the region's quota is all that is known.
    assert (by_name["Standard_U"].nodes_left, by_name["Standard_U"].quota) == (1, QUOTA.rows[0])
    assert (low_priority[0].nodes_left, low_priority[0].price) == (2, 0.05)


def test_what_no_quota_limits_has_no_end() -> None:
    (found,) = search_sizes((SMALL,), Quota("westeurope", ()), Search(with_room=True))

    assert (found.nodes_left, found.quota) == (None, None)


def test_they_are_listed_with_price_and_quota(cli: Cli) -> None:
    Arm(cli.emulator).call("PUT", "computes/gpus", _cluster("Standard_NC8as_T4_v3", 2))

    lines = cli.run("sizes", "NC8as", "--gpus", "1").stdout.splitlines()
    (told,) = cli.json("sizes", "--gpu-class", "t4", "--cpus", "8", "--max-price", "1")

    assert lines[0].split() == [
        "Size",
        "vCPU",
        "GPU",
        "GPU",
        "GB",
        "GB",
        "USD/h",
        "vCPU",
        "used",
        "of",
        "Nodes",
        "left",
    ]
    assert lines[1].split() == ["Standard_NC8as_T4_v3", "8", "1", "T4", "16", "56", "0.75", "16", "32", "2"]
    assert told == {
        "name": "Standard_NC8as_T4_v3",
        "region": "westeurope",
        "family": "Standard NCASv3_T4 Family",
        "vcpus": 8,
        "gpus": 1,
        "gpu_class": "T4",
        "gpu_share": 1.0,
        "gpu_memory_gb": 16.0,
        "memory_gb": 56.0,
        "usd_per_hour": 0.75,
        "usd_per_hour_low_priority": told["usd_per_hour_low_priority"],
        "low_priority_capable": True,
        "retired_on": None,
        "successor": None,
        "modes": told["modes"],
        "quota": {"name": "Standard NCASv3_T4 Family", "vcpus_used": 16, "vcpus_limit": 32},
        "nodes_left": 2,
    }


def test_nothing_that_is_found_is_said(cli: Cli) -> None:
    assert cli.run("sizes", "--cpus", "10000").stdout == "No VM size in westeurope matches these filters.\n"
    assert cli.json("sizes", "--cpus", "10000") == []


def test_who_may_not_read_them_is_told_which_role_they_need(cli: Cli) -> None:
    Arm(cli.emulator).call("POST", "/_emulator/roles", {"roles": ["AzureML Data Scientist"]})

    result = cli.run("sizes", code=1)

    assert "Azure: (AuthorizationFailed)" in result.stderr
    assert "a role such as Reader on /subscriptions/" in result.stderr


def _cluster(size: str, minimum: int) -> dict[str, Any]:
    inner = {"vmSize": size, "scaleSettings": {"minNodeCount": minimum, "maxNodeCount": 4}}
    return {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": inner}}


def test_a_retired_size_is_answered_with_its_day_and_successor(cli: Cli) -> None:
    assert cli.run("sizes", "Standard_NC6s_v3").stdout == (
        "Azure retired the VM size `Standard_NC6s_v3` on 2025-09-30; its successor is `Standard_NC24ads_A100_v4`.\n"
    )


def test_a_part_of_a_gpu_is_listed_as_a_part_and_only_where_it_is_wanted(cli: Cli) -> None:
    (line,) = cli.run("sizes", "NV6ads").stdout.splitlines()[1:]
    whole = {size["name"] for size in cli.json("sizes", "--gpus", "1")}
    parts = {size["name"] for size in cli.json("sizes", "--gpu-memory", "4", "--max-price", "0.5")}

    assert line.split()[:6] == ["Standard_NV6ads_A10_v5", "6", "1/6", "A10", "4", "55"]
    assert "Standard_NV36ads_A10_v5" in whole
    assert not {"Standard_NV6ads_A10_v5", "Standard_NV18ads_A10_v5"} & whole
    assert parts == {"Standard_NV6ads_A10_v5"}
