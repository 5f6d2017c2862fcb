"""What a step needs of its machines, from ZenML's resource settings and those of the step operator."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from zenml.config import ResourceSettings

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.sizes.vm_size import ResourceRequest
from zenml_azureml.submission import resources
from zenml_azureml.submission.resources import demands_of


@pytest.fixture(autouse=True)
def _nothing_reported_yet() -> None:
    resources._report.cache_clear()


def demands(settings: dict[str, Any] | None = None, **wanted: Any) -> Demands:
    return demands_of(ResourceSettings(**wanted), AzureMLStepOperatorSettings(**(settings or {})))


def test_resources_are_passed_on_with_memory_in_azures_unit() -> None:
    found = demands({"gpu_memory_gb": 16, "quota_check": "warn"}, cpu_count=2, gpu_count=1, memory="32GiB")

    assert found == Demands(ResourceRequest(cpus=2, gpus=1, memory_gb=32, gpu_memory_gb=16), "warn")


@pytest.mark.parametrize("chip", ["A100", "t4", "nvidia-tesla-t4"])
def test_a_class_with_the_name_of_a_chip_selects_it(chip: str) -> None:
    assert demands(gpu_class=chip).resources.gpu_class == chip


@pytest.mark.parametrize("count", [None, 0, 1, 8])
def test_another_class_selects_nothing_and_is_reported_once(
    count: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    # Source: ZenML 0.97, `ResourceSettings.gpu_class`: a capacity class of a resource pool.
    first, again = (demands(gpu_class="h200-reserved", gpu_count=count) for _ in range(2))

    assert first == again == Demands(ResourceRequest(gpus=count))
    assert [message for message in caplog.messages if "h200-reserved" in message] == [
        "`gpu_class='h200-reserved'` is a capacity class of ZenML, and not the name of a GPU that Azure has, so it "
        "does not select a VM size. To select one for it, set `gpu_class_sizes={'h200-reserved': 'SIZE'}`."
    ]


def test_a_chip_with_no_gpus_fails_no_step() -> None:
    assert demands(gpu_class="A100", gpu_count=0).resources.is_empty


@pytest.mark.parametrize("name", ["h100-reserved", "H100-Reserved"])
def test_a_class_with_a_size_in_the_settings_selects_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sizes = {"h100-reserved": "Standard_NC40ads_H100_v5"}

    found = demands({"gpu_class_sizes": sizes}, gpu_class=name, gpu_count=1)

    assert found == Demands(ResourceRequest(gpus=1), size="Standard_NC40ads_H100_v5")
    assert caplog.messages == []


def test_a_size_in_the_settings_precedes_the_meaning_of_a_chip() -> None:
    found = demands({"gpu_class_sizes": {"A100": "Standard_NC48ads_A100_v4"}}, gpu_class="A100")

    assert (found.size, found.resources) == ("Standard_NC48ads_A100_v4", ResourceRequest())
