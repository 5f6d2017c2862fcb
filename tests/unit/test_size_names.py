"""What the name of a VM size says: its GPU, a part of one, and whether Azure has retired it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.test_size_choice import A100, ADDRESS, NO_LIMITS, REGION, SIZES
from zenml_azureml.azure.sizes.gpu import chip_named, gpu_of
from zenml_azureml.azure.sizes.retired import retirement_of
from zenml_azureml.azure.sizes.selection import check_explicit_size, choose_size, find_size
from zenml_azureml.azure.sizes.vm_size import ResourceRequest
from zenml_azureml.exceptions import AzureMLError


@pytest.mark.parametrize(
    ("size", "gpu"),
    [
        ("Standard_NC6", "K80"),
        ("Standard_NC24r_Promo", "K80"),
        ("Standard_NC6s_v2", "P100"),
        ("Standard_NC6s_v3", "V100"),
        ("STANDARD_NC24RS_V3", "V100"),
        ("Standard_NC4as_T4_v3", "T4"),
        ("Standard_NC24ads_A100_v4", "A100"),
        ("Standard_NC80adis_H100_v5", "H100"),
        ("Standard_NCC40ads_H100_v5", "H100"),
        ("Standard_ND6s", "P40"),
        ("Standard_ND40rs_v2", "V100"),
        ("Standard_ND96asr_v4", "A100"),
        ("Standard_ND96amsr_A100_v4", "A100"),
        ("Standard_ND96isr_H200_v5", "H200"),
        ("Standard_ND96isr_MI300X_v5", "MI300X"),
        ("Standard_ND128isr_NDR_GB200_v6", "GB200"),
        ("Standard_NV6", "M60"),
        ("Standard_NV12s_v3", "M60"),
        ("Standard_NV16as_v4", "MI25"),
        ("Standard_NV36adms_A10_v5", "A10"),
        ("Standard_NG8ads_V620_v1", "V620"),
        ("Standard_D8s_v3", None),
        ("Standard_NP10s", None),
    ],
)
def test_the_gpu_is_read_from_the_sizes_name(size: str, gpu: str | None) -> None:
    found = gpu_of(size)
    assert (found and found.chip) == gpu


# Source: Azure's pages of the series. `vmSizes` reports 1 GPU for each size of which `part` is below 1.
@pytest.mark.parametrize(
    ("size", "part", "memory_gb"),
    [
        ("Standard_NV6ads_A10_v5", "1/6", 4),
        ("Standard_NV12ads_A10_v5", "1/3", 8),
        ("STANDARD_NV18ADS_A10_V5", "1/2", 12),
        ("Standard_NV36ads_A10_v5", "1", 24),
        ("Standard_NV36adms_A10_v5", "1", 24),
        ("Standard_NV72ads_A10_v5", "1", 24),
        ("Standard_NG8ads_V620_v1", "1/4", 8),
        ("Standard_NG16ads_V620_v1", "1/2", 16),
        ("Standard_NG32ads_V620_v1", "1", 32),
        ("Standard_NV4ads_V710_v5", "1/6", 4),
        ("Standard_NV28adms_V710_v5", "1", 24),
        ("Standard_NV4as_v4", "1/8", 2),
        ("Standard_NV32as_v4", "1", 16),
        ("Standard_NC4as_T4_v3", "1", 16),
        ("Standard_NC24ads_A100_v4", "1", 80),
        ("Standard_ND96asr_v4", "1", 40),
        ("Standard_ND96amsr_A100_v4", "1", 80),
        ("Standard_NC40ads_H100_v5", "1", 94),
        ("Standard_NCC40ads_H100_v5", "1", 94),
        ("Standard_ND96isr_H100_v5", "1", 80),
        ("Standard_ND96isr_H200_v5", "1", 141),
        ("Standard_ND40rs_v2", "1", 32),
        ("Standard_ND96isr_X900_v9", "1", None),
    ],
)
def test_a_part_of_a_gpu_and_its_memory_are_known(size: str, part: str, memory_gb: float | None) -> None:
    gpu = gpu_of(size)
    assert gpu is not None
    assert (str(gpu.share), gpu.memory_gb) == (part, memory_gb)


@pytest.mark.parametrize(
    ("text", "chip"),
    [
        *(("A100", "A100"), ("a100-80gb", "A100"), ("nvidia-tesla-t4", "T4"), ("NVIDIA H100", "H100")),
        *(("AMD Instinct MI300X", "MI300X"), ("h200-reserved", None), ("gold", None), ("", None), ("K8", None)),
    ],
)
def test_a_chip_is_known_by_its_name_and_a_capacity_class_is_none(text: str, chip: str | None) -> None:
    assert chip_named(text) == chip


@pytest.mark.parametrize(
    ("size", "day", "successor"),
    [
        # Source: Microsoft, "Retired Azure VM size series".
        ("Standard_NC6s_v3", "2025-09-30", "Standard_NC24ads_A100_v4"),
        ("STANDARD_NC24RS_V3", "2025-09-30", "Standard_NC96ads_A100_v4"),
        ("Standard_NV12s_v3", "2026-09-30", "Standard_NV36ads_A10_v5"),
        ("Standard_NV16as_v4", "2026-09-30", "Standard_NV18ads_A10_v5"),
        # Source: Microsoft, "NV series retirement", and the same of the NC, NCv2 and ND series.
        ("Standard_NC6", "2023-09-06", "Standard_NC4as_T4_v3"),
        ("Standard_NC24r_Promo", "2023-09-06", "Standard_NC64as_T4_v3"),
        ("Standard_NC12s_v2", "2023-09-06", "Standard_NC48ads_A100_v4"),
        ("Standard_ND6s", "2023-09-06", "Standard_NC24ads_A100_v4"),
        ("Standard_NV6", "2023-09-06", "Standard_NV12ads_A10_v5"),
        ("Standard_H16mr", "2022-08-31", "Standard_HB120rs_v3"),
        ("Basic_A4", "2024-08-31", "Standard_D2s_v5"),
    ],
)
def test_a_retired_size_is_known_with_its_day_and_a_successor(size: str, day: str, successor: str) -> None:
    retirement = retirement_of(size)
    assert retirement is not None
    assert (str(retirement.on), retirement.successor) == (day, successor)
    assert retirement_of(successor) is None
    with pytest.raises(AzureMLError, match=f"retired the VM size `{size}` on {day}; its successor is `{successor}`"):
        find_size(size, list(SIZES.values()), REGION, ADDRESS)


@pytest.mark.parametrize("size", ["Standard_NC4as_T4_v3", "Standard_ND40rs_v2", "Standard_D2s_v3", "Standard_A2_v2"])
def test_a_size_that_can_be_had_is_not_retired(size: str) -> None:
    assert retirement_of(size) is None


def test_a_retired_size_is_not_chosen_even_if_the_region_lists_it() -> None:
    retired = replace(A100, name="Standard_NC6s_v3", price_per_hour=0.01)

    assert choose_size(ResourceRequest(gpus=1), [retired, A100], NO_LIMITS, kind="serverless").size is A100
    with pytest.raises(AzureMLError, match=r"Standard_NC6s_v3 .* has been retired on 2025-09-30"):
        choose_size(ResourceRequest(gpus=1), [retired], NO_LIMITS, kind="serverless")


def test_a_part_of_a_gpu_is_warned_of_where_a_whole_one_was_requested() -> None:
    (warning,) = check_explicit_size(SIZES["Standard_NV6ads_A10_v5"], ResourceRequest(gpus=1))

    assert warning.endswith("Standard_NV6ads_A10_v5 (6 vCPU, 1/6 GPU with 4 GB, 55 GB) has 1/6 of a GPU.")
    assert check_explicit_size(SIZES["Standard_NV6ads_A10_v5"], ResourceRequest(gpus=1, gpu_memory_gb=4)) == []
