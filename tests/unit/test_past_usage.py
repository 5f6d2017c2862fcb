"""Advice from the last runs of a step."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from tests.unit.test_size_advice import T4, used
from tests.unit.test_size_choice import NO_LIMITS, SIZES
from zenml_azureml.azure.sizes.vm_size import VmSize
from zenml_azureml.cli.sizes_for import in_sentence
from zenml_azureml.contract.usage import MEMORY, Usage
from zenml_azureml.job_admin.past_usage import PastUsage, advice_of

BIG = SIZES["Standard_E16s_v3"]
ALL = tuple(SIZES.values())


def past(usage: Usage, size: VmSize = BIG, compute: str = "serverless") -> PastUsage:
    return PastUsage("run", "train", datetime(2026, 1, 1, tzinfo=timezone.utc), "completed", size.name, compute, usage)


def test_the_highest_peak_of_all_runs_on_the_last_size_counts() -> None:
    runs = [past(used(2, of=BIG)), past(used(70, 3, of=BIG)), past(used(1, of=T4), T4)]

    advice = advice_of(runs, ALL, NO_LIMITS, kind=None, low_priority=False)

    assert advice is not None
    assert (advice.size, advice.runs) == (BIG, 2)
    assert advice.usage.peak(MEMORY) == 70
    # No cheaper size has 1.2 x 70 GB.
    assert advice.cheaper is None or advice.cheaper.size.memory_gb >= 84
    alone = advice_of(runs[:1], ALL, NO_LIMITS, kind=None, low_priority=False)
    assert alone is not None
    assert alone.cheaper is not None
    assert alone.cheaper.size.memory_gb < 84


def test_a_step_whose_memory_was_used_up_needs_more() -> None:
    advice = advice_of([past(used(127, of=BIG))], ALL, NO_LIMITS, kind=None, low_priority=False)

    assert advice is not None
    assert advice.larger is not None
    words = in_sentence([past(used(127, of=BIG))], advice, "westeurope", low_priority=False)
    assert f"the next size up that has quota is {advice.larger.name}" in words


@pytest.mark.parametrize("size", ["", "Standard_Unknown"])
def test_without_a_known_size_there_is_no_advice(size: str) -> None:
    one = past(used(2, of=BIG))
    runs = [PastUsage(one.run, one.step, one.created, one.status, size, one.compute, one.usage)]

    assert advice_of(runs, ALL, NO_LIMITS, kind=None, low_priority=False) is None
    assert in_sentence(runs, None, "westeurope", low_priority=False).startswith("No advice: the size ")
