"""Prices as recorded answers of 2025 have them, read by the operator."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from azure.ai.ml import MLClient

from tests.contract.arm import recorded
from zenml_azureml.azure.sizes.parsing import vm_size
from zenml_azureml.emulator.services.aml import sizes as emulated_sizes


def test_recorded_sizes_are_read_with_the_price_of_linux_or_none(
    ml_client: MLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = recorded("vmsizes_list_2025")["response_body"]["value"]
    # The emulator serves what was recorded instead of its own catalogue.
    monkeypatch.setattr(emulated_sizes, "catalogue", lambda: SimpleNamespace(sizes_in=lambda _location: answer))
    monkeypatch.setattr(emulated_sizes, "size_body", lambda size: size)

    sizes = {size.name: size for size in map(vm_size, ml_client.compute.list_sizes(location="eastus"))}

    def prices(name: str) -> tuple[float | None, float | None]:
        return sizes[name].price_per_hour, sizes[name].low_priority_price_per_hour

    assert prices("Standard_E8s_v3") == (0.5, 0.1)
    # Windows' prices stand under Linux too, before or after Linux's own.
    assert prices("Standard_D16ads_v5") == (0.82, 0.16)
    assert prices("Standard_E96ads_v5") == (6.29, 1.26)
    assert prices("Standard_F16s_v2") == (None, None)
