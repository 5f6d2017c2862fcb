"""The choice of a VM size, against a brute-force search."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_size_choice import offered
from zenml_azureml.azure.sizes.quota import FamilyQuota, Quota
from zenml_azureml.azure.sizes.selection import choose_size
from zenml_azureml.azure.sizes.vm_size import ComputeKind, ResourceRequest
from zenml_azureml.emulator.services.aml.catalogue import catalogue, size_body
from zenml_azureml.exceptions import AzureMLError

#: The GPUs of the emulator's families, as written on Azure's pages of the series.
GPU_OF_FAMILY = {
    "Standard NCASv3_T4 Family": "T4",
    "StandardNCADSA100v4Family": "A100",
    "StandardNCadsH100v5Family": "H100",
    "standardNDSv2Family": "V100",
    "Standard NDASv4_A100 Family": "A100",
    "Standard NDAMSv4_A100Family": "A100",
    "standardNDSH100v5Family": "H100",
    "StandardNVADSA10v5Family": "A10",
}
#: The memory of each, and of the sizes with a part of one, in GB.
MEMORY_OF_FAMILY = {
    **{"Standard NCASv3_T4 Family": 16, "StandardNCADSA100v4Family": 80, "StandardNCadsH100v5Family": 94},
    **{"standardNDSv2Family": 32, "Standard NDASv4_A100 Family": 40, "Standard NDAMSv4_A100Family": 80},
    **{"standardNDSH100v5Family": 80, "StandardNVADSA10v5Family": 24},
}
MEMORY_OF_PART = {"Standard_NV6ads_A10_v5": 4, "Standard_NV12ads_A10_v5": 8, "Standard_NV18ads_A10_v5": 12}
ANSWERS = [size_body(catalogue_size) for catalogue_size in catalogue().sizes if not catalogue_size.family.retired_on]
FAMILIES = list(
    json.loads(files("zenml_azureml.emulator.services.aml").joinpath("catalogue.json").read_text())["families"]
)

limits = st.one_of(st.none(), st.integers(0, 600))
uses = st.integers(0, 150)
requests = st.builds(
    ResourceRequest,
    cpus=st.none() | st.floats(0.25, 130),
    gpus=st.none() | st.integers(1, 9),
    gpu_class=st.none() | st.sampled_from(["v100", "T4", "a100", "H100", "M60", "A10", "B200"]),
    memory_gb=st.none() | st.floats(0.5, 2000),
    gpu_memory_gb=st.none() | st.sampled_from([1, 4, 5, 12, 16, 24, 80, 90, 200]),
) | st.builds(ResourceRequest, cpus=st.none() | st.floats(0.25, 130), memory_gb=st.none() | st.floats(0.5, 500))
rows = st.lists(
    st.builds(FamilyQuota, st.sampled_from([*FAMILIES, "TotalDedicatedCores"]), st.just(False), limits, uses)
    | st.builds(FamilyQuota, st.sampled_from([*FAMILIES, "TotalLowPriorityCores"]), st.just(True), limits, uses),
    unique_by=lambda row: (row.family, row.low_priority),
    max_size=2 * len(FAMILIES) + 2,
)


def by_brute_force(
    request: ResourceRequest,
    answers: list[dict[str, Any]],
    quota: list[FamilyQuota],
    kind: ComputeKind,
    nodes: int,
    spot: bool,
) -> str | None:
    """The same by another way: strike out what does not serve, then keep the best by one property at a time."""
    room: dict[str, float] = {row.family: -1 for row in quota if row.low_priority == spot}
    for row in quota:
        if row.low_priority == spot:
            room[row.family] = float("inf") if row.limit is None else row.limit - row.used
    total = "TotalLowPriorityCores" if spot else "TotalDedicatedCores"
    word = "ComputeInstance" if kind == "compute-instance" else "AmlCompute"
    gpus = request.gpus if request.gpus is not None else int(bool(request.gpu_class or request.gpu_memory_gb))

    left = []
    for answer in answers:
        cores = nodes * answer["vCPUs"]
        if word not in answer["supportedComputeTypes"] or (spot and not answer["lowPriorityCapable"]):
            continue
        if cores > room.get(answer["family"], float("inf")) or cores > room.get(total, float("inf")):
            continue
        if request.cpus is not None and answer["vCPUs"] < request.cpus:
            continue
        if request.memory_gb is not None and answer["memoryGB"] < request.memory_gb:
            continue
        if bool(gpus) != bool(answer["gpus"]) or answer["gpus"] < gpus:
            continue
        part = MEMORY_OF_PART.get(answer["name"])
        if gpus and part is not None and (request.gpu_memory_gb is None or gpus > 1):
            continue
        if gpus and request.gpu_memory_gb and (part or MEMORY_OF_FAMILY[answer["family"]]) < request.gpu_memory_gb:
            continue
        if request.gpu_class is not None and GPU_OF_FAMILY[answer["family"]] != request.gpu_class.upper():
            continue
        left.append(answer)

    def price(answer: dict[str, Any]) -> float:
        tier = "LowPriority" if spot else "Standard"
        found = [p["retailPrice"] for p in answer["estimatedVMPrices"]["values"] if p["osType"] == "Linux"]
        kinds = [p["vmTier"] for p in answer["estimatedVMPrices"]["values"] if p["osType"] == "Linux"]
        return float(found[kinds.index(tier)])

    properties: list[Callable[[dict[str, Any]], Any]] = [
        lambda answer: answer["family"] not in room,
        price,
        lambda answer: answer["vCPUs"],
        lambda answer: answer["memoryGB"],
        lambda answer: answer["name"],
    ]
    for of in properties:
        left = [answer for answer in left if of(answer) == min(of(other) for other in left)]
    return left[0]["name"] if left else None


@settings(max_examples=1000, deadline=None, database=None)
@given(
    request_=requests,
    quota=rows,
    kind=st.sampled_from(["compute-instance", "compute-cluster", "serverless"]),
    nodes=st.sampled_from([1, 1, 1, 2, 3, 8]),
    spot=st.booleans(),
    region=st.sampled_from(["westeurope", "eastus2", "polandcentral"]),
)
def test_the_choice_is_that_of_a_brute_force_search(
    request_: ResourceRequest, quota: list[FamilyQuota], kind: ComputeKind, nodes: int, spot: bool, region: str
) -> None:
    here = {size.name for size in catalogue().sizes_in(region)}
    answers = [answer for answer in ANSWERS if answer["name"] in here]
    expected = by_brute_force(request_, answers, quota, kind, nodes, spot)

    try:
        sizes = [offered(answer) for answer in answers]
        found = choose_size(
            request_, sizes, Quota(region, tuple(quota)), kind=kind, nodes=nodes, low_priority=spot
        ).size.name
    except AzureMLError:
        found = None

    assert found == expected
