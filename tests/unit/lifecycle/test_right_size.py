"""What the use of a job says about its VM size, in the words that a user reads, and what it is known to have run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.unit.test_size_advice import ALL, T4, V100, used
from tests.unit.test_size_choice import NO_LIMITS, SIZES
from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.azure.sizes.advice import Advice, Ran
from zenml_azureml.azure.sizes.quota import Quota
from zenml_azureml.azure.sizes.vm_size import VmSize
from zenml_azureml.contract.usage import GPU_MEMORY, MEMORY, Metric, Usage
from zenml_azureml.lifecycle import right_size
from zenml_azureml.lifecycle.recovery import Attempt
from zenml_azureml.lifecycle.right_size import Known, Machine, advice_on_memory, last_line
from zenml_azureml.settings.step_plan import plan_of
from zenml_azureml.specs.compute import ComputeSpec, ExistingCompute

DS3 = SIZES["Standard_DS3_v2"]
Offer = tuple[Sequence[VmSize], Quota]

OFFER: Offer = (ALL, NO_LIMITS)
SERVERLESS: dict[str, Any] = {"instance_type": DS3.name}
CLUSTER: dict[str, Any] = {"mode": "compute-cluster", "compute_name": "cpus", "size": DS3.name}
INSTANCE: dict[str, Any] = {"mode": "compute-instance", "compute_name": "mine", "size": DS3.name}


class Workspace:
    """A workspace whose region offers sizes, or does not say which."""

    def __init__(self, offer: Offer | None = OFFER) -> None:
        self.offered = offer
        self.asked: list[str | None] = []

    def offer(self, location: str | None) -> Offer | None:
        self.asked.append(location)
        if self.offered == ((), NO_LIMITS):
            raise ConnectionError("Azure is away")
        return self.offered

    def ran_on(self, settings: dict[str, Any], size: str = DS3.name, on: ComputeSpec | None = None) -> Known | None:
        resolution = plan_of(AzureMLStepOperatorSettings(**settings)).targets[0].resolution
        resolution = resolution if on is None else replace(resolution, compute=on)
        return Machine.of(cast("Any", self), resolution, Attempt(0, "zenml-1", size=size)).look_up()


@pytest.mark.parametrize(
    ("settings", "ran"),
    [
        (SERVERLESS, Ran(DS3, "serverless")),
        ({**SERVERLESS, "job_tier": "spot", "instance_count": 3}, Ran(DS3, "serverless", 3, low_priority=True)),
        (CLUSTER, Ran(DS3, "compute-cluster")),
        ({**CLUSTER, "tier": "low_priority", "instance_count": 2}, Ran(DS3, "compute-cluster", 2, low_priority=True)),
        (INSTANCE, Ran(DS3, "compute-instance")),
    ],
    ids=str,
)
def test_a_job_ran_on_the_size_of_its_attempt_as_the_settings_say(settings: dict[str, Any], ran: Ran) -> None:
    workspace = Workspace()

    assert workspace.ran_on(settings, DS3.name.upper()) == (ran, *OFFER)
    assert workspace.asked == [None]


@pytest.mark.parametrize(
    ("settings", "location"),
    [({**CLUSTER, "location": "northeurope"}, "northeurope"), ({**SERVERLESS, "locations": ["a", "b"]}, "a")],
    ids=str,
)
def test_the_sizes_are_those_of_the_region_of_the_job(settings: dict[str, Any], location: str) -> None:
    workspace = Workspace()

    workspace.ran_on(settings)

    assert workspace.asked == [location]


def test_nothing_is_asked_about_an_unknown_size_or_an_existing_compute() -> None:
    workspace = Workspace()

    assert workspace.ran_on(SERVERLESS, "") is None
    assert workspace.ran_on(SERVERLESS, on=ExistingCompute("gpus")) is None
    assert workspace.asked == []


@pytest.mark.parametrize("offer", [None, ((), NO_LIMITS), ((T4,), NO_LIMITS)], ids=["unknown", "away", "other sizes"])
def test_without_the_size_in_the_offer_of_the_region_nothing_is_known(offer: Offer | None) -> None:
    assert Workspace(offer).ran_on(SERVERLESS) is None


@pytest.mark.parametrize(
    ("hours", "nodes", "saves"),
    [
        (None, 1, "about 0.0100 USD less per hour"),
        (0.5, 1, "about 0.0100 USD less per hour"),
        (1.0, 1, "about 0.0100 USD less for this run"),
        (0.5, 2, "about 0.0100 USD less for this run"),
    ],
)
def test_what_a_run_saves_is_named_from_a_cent_on(
    hours: float | None, nodes: int, saves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(right_size, "cheaper_size", lambda *_: Advice(T4, 0.01))
    line = last_line(used(11, of=V100), (Ran(V100, "serverless", nodes), *OFFER), hours)

    assert line.endswith(f": {T4.name} would do, {saves}")


def test_without_the_size_or_the_offer_the_use_is_shown_without_advice() -> None:
    assert last_line(used(11, of=V100), None, 1.0).startswith("peak 11 of 112 GB")
    assert " would do" not in last_line(used(11, of=V100), None, 1.0)
    assert advice_on_memory("out-of-memory", [], None) == ""


@pytest.mark.parametrize("without_gpu", [True, False])
def test_a_gpu_that_was_not_used_is_named(without_gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(right_size, "cheaper_size", lambda *_: Advice(DS3, 1.0, without_gpu))

    line = last_line(used(11, of=V100), (Ran(V100, "serverless"), *OFFER), None)

    assert (", without the GPU that was not used, about" in line) is without_gpu


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (
            {GPU_MEMORY: Metric(15, 9, 16), MEMORY: Metric(3, 3, 28)},
            "The highest sample of its GPU memory was 15 of 16 GB.",
        ),
        ({GPU_MEMORY: Metric(15, 9, None)}, "The highest sample of its GPU memory was 15 GB."),
        ({MEMORY: Metric(3, 3, 28)}, ""),
    ],
    ids=["of the GPU", "without a limit", "of the machine"],
)
def test_the_peak_is_that_of_the_memory_that_was_used_up(metrics: dict[str, Metric], words: str) -> None:
    assert advice_on_memory("gpu-out-of-memory", [Usage(60, metrics, gpus=1)], None) == words


@pytest.mark.parametrize(
    ("low_priority", "price", "words"),
    [
        (False, 1.5, ", about 1.50 USD per hour and node."),
        (True, 0.4, ", about 0.40 USD per hour and node."),
        (False, None, " GB)."),
    ],
)
def test_the_next_size_up_has_the_price_of_its_tier(
    low_priority: bool, price: float | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = replace(
        SIZES["Standard_E16s_v3"], price_per_hour=None if price is None else 1.5, low_priority_price_per_hour=0.4
    )
    monkeypatch.setattr(right_size, "larger_size", lambda *_, **__: larger)

    found = advice_on_memory("out-of-memory", [], (Ran(DS3, "serverless", low_priority=low_priority), *OFFER))

    assert found.startswith(f"The next size up from {DS3.name} that has quota is {larger.name} ")
    assert found.endswith(words)


@pytest.mark.parametrize(("cause", "of_gpu"), [("out-of-memory", False), ("gpu-out-of-memory", True)])
def test_more_memory_of_the_kind_that_was_used_up_is_looked_for(
    cause: str, of_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(right_size, "larger_size", lambda *_, **given: asked.append(given))
    usage = used(13, of=DS3)

    found = advice_on_memory(cause, [usage], (Ran(DS3, "serverless"), *OFFER))

    assert asked == [{"usage": usage, "of_gpu": of_gpu}]
    assert found.endswith(f"No size with more {'GPU ' if of_gpu else ''}memory than {DS3.name} has quota left.")
