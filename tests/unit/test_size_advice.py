"""Advice on VM sizes from what a step has used."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_size_choice import NO_LIMITS, REGION, SIZES, all_families, dedicated
from zenml_azureml.azure.sizes.advice import MARGIN, Ran, cheaper_size, gpu_was_used, in_words, larger_size
from zenml_azureml.azure.sizes.kinship import is_arm
from zenml_azureml.azure.sizes.quota import Quota, check_quota
from zenml_azureml.azure.sizes.retired import retirement_of
from zenml_azureml.azure.sizes.vm_size import VmSize
from zenml_azureml.contract.usage import CPU, GPU, GPU_MEMORY, MEMORY, Metric, Usage, merged
from zenml_azureml.lifecycle.right_size import advice_on_memory, last_line

#: The emulator's sizes, and kinds that it does not have.
ARM = replace(SIZES["Standard_DS3_v2"], name="Standard_D4ps_v5", price_per_hour=0.01)
CONFIDENTIAL = replace(SIZES["Standard_DS3_v2"], name="Standard_DC4as_v5", price_per_hour=0.01)
T4 = SIZES["Standard_NC4as_T4_v3"]
#: A size that Azure has retired, of which existing computes may still be.
V100 = replace(T4, name="Standard_NC6s_v3", vcpus=6, memory_gb=112, price_per_hour=3.06, family="standardNCSv3Family")
ALL = (*SIZES.values(), ARM, CONFIDENTIAL, V100)


def used(
    memory: float, cpu: float = 1.0, *, of: VmSize, gpu: float | None = None, gpu_memory: float | None = None
) -> Usage:
    metrics = {MEMORY: Metric(memory, memory, of.memory_gb), CPU: Metric(cpu, cpu, of.vcpus)}
    if gpu is not None:
        metrics[GPU] = Metric(min(100.0, gpu * 2), gpu, 100)
    if gpu_memory is not None:
        metrics[GPU_MEMORY] = Metric(gpu_memory, gpu_memory, of.gpu.memory_gb if of.gpu else None)
    return Usage(3600, metrics, gpus=of.gpus if gpu is not None else 0)


NAMES = st.sampled_from([size for size in ALL if size.price_per_hour])


@st.composite
def runs(draw: st.DrawFn) -> tuple[Usage, Ran]:
    size = draw(NAMES)
    share = st.floats(min_value=0.001, max_value=1)
    gpu = draw(st.none() | st.floats(min_value=0, max_value=100)) if size.gpus else None
    whole = size.gpu.memory_gb if size.gpu and size.gpu.memory_gb else 16
    gpu_memory = draw(st.none() | st.floats(min_value=0, max_value=whole)) if size.gpus else None
    cpu = draw(share) * size.vcpus
    usage = used(draw(share) * size.memory_gb, cpu, of=size, gpu=gpu, gpu_memory=gpu_memory)
    kind = draw(st.sampled_from(("serverless", "compute-cluster", "compute-instance")))
    low_priority = draw(st.booleans()) and size.low_priority_capable and kind != "compute-instance"
    return usage, Ran(size, kind, draw(st.integers(1, 4)), low_priority)  # type: ignore[arg-type]


@st.composite
def quotas(draw: st.DrawFn) -> Quota:
    families = draw(st.lists(st.sampled_from(sorted({size.family for size in ALL})), unique=True))
    return Quota(REGION, tuple(dedicated(family, draw(st.sampled_from([0, 8, 100]))) for family in families))


@settings(max_examples=400)
@given(runs(), quotas())
def test_advice_is_never_too_small_never_dearer_and_never_of_another_kind(run: tuple[Usage, Ran], quota: Quota) -> None:
    usage, ran = run
    advice = cheaper_size(usage, ran, ALL, quota)
    if advice is None:
        return
    size, before = advice.size, ran.size
    memory, cpu = usage.metrics[MEMORY].peak, usage.metrics[CPU].peak
    price, was = size.price(low_priority=ran.low_priority), before.price(low_priority=ran.low_priority)

    assert size.memory_gb >= memory * MARGIN
    assert size.vcpus >= min(cpu * MARGIN, before.vcpus)
    assert price is not None
    assert was is not None
    assert price < was
    assert advice.saves_per_hour == was - price
    assert is_arm(size) == is_arm(before)
    assert ("DC4" in size.name) == ("DC4" in before.name)
    assert size.supports(ran.kind)
    assert size.low_priority_capable or not ran.low_priority
    assert retirement_of(size.name) is None
    assert check_quota(size, quota, ran.nodes, ran.low_priority) is None
    assert not size.gpus or before.gpus
    if before.gpus and gpu_was_used(usage):
        assert size.gpus >= before.gpus
        assert size.gpu is not None
        assert size.gpu.memory_gb is not None
        assert size.gpu.memory_gb >= (usage.peak(GPU_MEMORY) or 0) * MARGIN
    assert advice.without_gpu == bool(before.gpus and not size.gpus)


@settings(max_examples=300)
@given(runs(), quotas(), st.booleans())
def test_the_next_size_up_has_more_of_it_and_no_less_of_anything(
    run: tuple[Usage, Ran], quota: Quota, of_gpu: bool
) -> None:
    usage, ran = run
    size = larger_size(ran, ALL, quota, usage=usage, of_gpu=of_gpu)
    if size is None:
        return
    assert size.vcpus >= ran.size.vcpus
    assert size.gpus >= ran.size.gpus
    assert bool(size.gpus) == bool(ran.size.gpus)
    assert size.memory_gb >= ran.size.memory_gb
    assert is_arm(size) == is_arm(ran.size)
    assert check_quota(size, quota, ran.nodes, ran.low_priority) is None
    if of_gpu:
        assert size.gpu is not None
        assert ran.size.gpu is not None
        assert (size.gpu.memory_gb or 0) > (ran.size.gpu.memory_gb or 0)
    else:
        assert size.memory_gb > max(ran.size.memory_gb, usage.metrics[MEMORY].peak * MARGIN)


# Single cases


def test_a_v100_that_was_little_used_can_be_a_t4() -> None:
    usage = used(11, 1.5, of=V100, gpu=23, gpu_memory=5)

    advice = cheaper_size(usage, Ran(V100, "serverless"), ALL, NO_LIMITS)

    assert advice is not None
    assert advice.size == T4
    assert V100.price_per_hour is not None
    assert T4.price_per_hour is not None
    assert advice.saves_per_hour == pytest.approx(V100.price_per_hour - T4.price_per_hour)


@pytest.mark.parametrize(
    ("memory", "cpu", "gpu", "gpu_memory"),
    [
        (24, 1.5, 23, 5),  # more memory than a T4's machine has, with the margin
        (11, 3.9, 23, 5),  # cores
        (11, 1.5, 80, 5),  # a T4 would take longer
        (11, 1.5, 23, 14),  # memory of the GPU
    ],
)
def test_what_is_needed_is_kept(memory: float, cpu: float, gpu: float, gpu_memory: float) -> None:
    advice = cheaper_size(
        used(memory, cpu, of=V100, gpu=gpu, gpu_memory=gpu_memory), Ran(V100, "serverless"), ALL, NO_LIMITS
    )
    assert advice is None or advice.size != T4


def test_a_step_that_hardly_used_anything_can_have_the_cheapest_size() -> None:
    size = SIZES["Standard_E16s_v3"]
    cheapest = min(
        (one for one in SIZES.values() if not one.gpus and one.supports("serverless")),
        key=lambda one: one.price_per_hour or float("inf"),
    )
    for idle in (0.0, 0.001):
        advice = cheaper_size(used(0.01, idle, of=size), Ran(size, "serverless"), tuple(SIZES.values()), NO_LIMITS)
        assert advice is not None
        assert advice.size.price_per_hour == cheapest.price_per_hour
    unknown = Usage(60, {MEMORY: Metric(0.01, 0.01, size.memory_gb)})
    advice = cheaper_size(unknown, Ran(size, "serverless"), tuple(SIZES.values()), NO_LIMITS)
    assert advice is None or advice.size.vcpus >= size.vcpus


def test_without_readings_the_gpu_counts_as_used() -> None:
    advice = cheaper_size(used(11, of=V100), Ran(V100, "serverless"), ALL, NO_LIMITS)
    assert advice is None or advice.size.gpus


def test_a_gpu_that_was_not_used_can_be_saved() -> None:
    advice = cheaper_size(used(11, 2, of=T4, gpu=0, gpu_memory=0.4), Ran(T4, "compute-cluster"), ALL, NO_LIMITS)

    assert advice is not None
    assert advice.without_gpu
    assert advice.size.gpus == 0


def test_a_size_without_quota_is_not_recommended() -> None:
    usage, ran = used(2, 0.5, of=SIZES["Standard_E16s_v3"]), Ran(SIZES["Standard_E16s_v3"], "serverless")
    first = cheaper_size(usage, ran, ALL, NO_LIMITS)
    assert first is not None
    family = dedicated(first.size.family, 0)
    others = [row for row in all_families() if row.family != family.family]

    second = cheaper_size(usage, ran, ALL, Quota(REGION, (family, *others)))

    assert second is not None
    assert second.size.family != first.size.family


def test_the_words() -> None:
    usage = used(11, 1.5, of=replace(V100, memory_gb=16), gpu=23, gpu_memory=5)
    assert in_words(usage) == "peak 11 of 16 GB, CPU 25 % busy, GPU 23 % busy, 5 of 16 GB of its memory"
    full = Usage(900, {MEMORY: Metric(15.8, 14, 16, seconds_at_limit=600)}, nodes=2)
    assert in_words(full) == "peak 16 of 16 GB (at the limit for 10 min) on 2 nodes"

    line = last_line(usage, (Ran(V100, "serverless"), ALL, NO_LIMITS), 0.8)
    saved = 0.8 * ((V100.price_per_hour or 0) - (T4.price_per_hour or 0))
    assert line.endswith(f": Standard_NC4as_T4_v3 would do, about {saved:.2f} USD less for this run")
    short = last_line(usage, (Ran(V100, "serverless"), ALL, NO_LIMITS), 0.001)
    assert short.endswith(f"about {saved / 0.8:.2f} USD less per hour")
    assert last_line(usage, None, 1.0) == in_words(usage)
    busy = used(100, 6, of=V100, gpu=95, gpu_memory=15)
    assert last_line(busy, (Ran(V100, "serverless"), ALL, NO_LIMITS), 1.0).endswith(
        "no cheaper VM size with quota would do"
    )


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("out-of-memory", "The highest sample of its memory was 13 of 14 GB. The next size up from Standard_DS3_v2 "),
        ("gpu-out-of-memory", "No size with more GPU memory than Standard_DS3_v2 has quota left."),
        ("user-error", ""),
    ],
)
def test_the_next_steps_after_a_lack_of_memory(cause: str, words: str) -> None:
    ran = Ran(SIZES["Standard_DS3_v2"], "serverless")
    found = advice_on_memory(cause, [used(13, of=ran.size)], (ran, ALL, NO_LIMITS))
    assert found.startswith(words)
    assert bool(found) == bool(words)
    assert advice_on_memory(cause, [], None) == ""


def test_nodes_are_merged_to_the_highest_peak() -> None:
    one = Usage(60, {MEMORY: Metric(3, 2, 16, 0), CPU: Metric(1, 1, 4)}, node=0, series={MEMORY: (1.0,)})
    other = Usage(90, {MEMORY: Metric(9, 4, 14, 5), GPU: Metric(50, 20, 100)}, gpus=2, gpu_name="T4", node=1)

    both = merged([one, other])

    assert both is not None
    assert (both.nodes, both.gpus, both.gpu_name, both.seconds) == (2, 2, "T4", 90)
    assert both.metrics == {
        CPU: Metric(1, 1, 4),
        MEMORY: Metric(9, 3, 14, 5),
        GPU: Metric(50, 20, 100),
    }
    assert merged([one]) == one
    assert merged([]) is None
