"""Peaks, means, time at the limit and the course over time, and when the sampler reports them."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.contract.usage import CPU, GPU_MEMORY, LONGEST_LINE, MEMORY, UNITS, Usage, line_of, without_report
from zenml_azureml.in_job.sampler.gpu import GpuReading
from zenml_azureml.in_job.sampler.loop import LONGEST_SECONDS, SHORTEST_SECONDS, Sampler
from zenml_azureml.in_job.sampler.recorder import MOST_POINTS, Recorder, Sample

A_WEEK = 7 * 24 * 3600.0

AMOUNTS = st.floats(min_value=0, max_value=1e6)


@given(st.lists(st.tuples(AMOUNTS, st.floats(min_value=0.01, max_value=1e4)), min_size=1, max_size=200))
def test_peak_and_mean_are_those_of_all_samples_however_many_points_are_kept(
    samples: list[tuple[float, float]],
) -> None:
    recorder = Recorder(0.5)
    for value, seconds in samples:
        recorder.add({MEMORY: Sample(value, 100), CPU: Sample(value, 4)}, seconds)
    usage = recorder.usage()

    assert usage is not None
    total = sum(seconds for _, seconds in samples)
    for name, limit in ((MEMORY, 100), (CPU, 4)):
        metric = usage.metrics[name]
        assert metric.peak == max(value for value, _ in samples)
        assert metric.mean == pytest.approx(sum(value * seconds for value, seconds in samples) / total)
        at_limit = sum(seconds for value, seconds in samples if value >= 0.95 * limit)
        assert metric.seconds_at_limit == pytest.approx(at_limit)
        assert len(usage.series[name]) <= MOST_POINTS
    assert max(point for point in usage.series[MEMORY] if point is not None) == usage.metrics[MEMORY].peak
    assert max(point for point in usage.series[CPU] if point is not None) <= usage.metrics[CPU].peak * 1.000001


def test_a_long_run_keeps_its_shape_in_bounded_memory() -> None:
    recorder = Recorder(0.5)
    for number in range(20_000):
        recorder.add({MEMORY: Sample(number, 20_000)}, 5.0)
    usage = recorder.usage()

    assert usage is not None
    points = [point or 0 for point in usage.series[MEMORY]]
    assert MOST_POINTS / 2 <= len(points) <= MOST_POINTS
    assert points == sorted(points)
    assert usage.bucket_seconds * len(points) >= usage.seconds == 100_000


class Node:
    """A node whose use is known, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.memory = 1.0
        self.latest: list[GpuReading] = []
        self.reports: list[tuple[float, Usage]] = []

    def read(self) -> dict[str, Sample]:
        return {MEMORY: Sample(self.memory, 100.0)}

    def sampler(self, **more: object) -> Sampler:
        def report(usage: Usage) -> None:
            self.reports.append((self.now, usage))

        return Sampler(self, self, Recorder(0.5), report, clock=lambda: self.now, **more)  # type: ignore[arg-type]

    def live(self, sampler: Sampler, seconds: float) -> int:
        samples, end = 0, self.now + seconds
        while self.now < end:
            self.now += sampler.interval
            sampler.sample()
            samples += 1
        return samples


def test_reports_become_rare_and_a_short_step_has_one_too() -> None:
    node = Node()
    samples = node.live(node.sampler(), A_WEEK)

    moments = [moment for moment, _ in node.reports]
    assert moments[0] == pytest.approx(1.0)
    assert len(moments) < 80
    # At any moment, the newest report is no older than a fourth of the time so far, and two samples.
    gaps = zip(moments, [*moments[1:], A_WEEK], strict=True)
    assert all(after - before <= 0.25 * before + 1 + 2 * LONGEST_SECONDS for before, after in gaps)
    assert samples <= A_WEEK / LONGEST_SECONDS + 200


@pytest.mark.parametrize("of_gpu", [False, True])
def test_memory_that_rises_is_reported_before_it_ends_the_job(of_gpu: bool) -> None:
    node = Node()
    sampler = node.sampler()
    node.live(sampler, 3600)
    before = len(node.reports)
    for value in range(2, 101):  # within a small part of an hour
        if of_gpu:
            node.latest = [GpuReading("T4", 50, float(value), 100.0)]
        else:
            node.memory = float(value)
        node.now += 1
        sampler.sample()

    name = GPU_MEMORY if of_gpu else MEMORY
    assert node.reports[-1][1].metrics[name].peak >= 95
    assert len(node.reports) - before <= 22  # 20 times 5 %


def test_the_interval_between_samples_grows_to_a_limit() -> None:
    node = Node()
    sampler = node.sampler()
    intervals = []
    for node.now in (0.0, 20.0, 60.0, 100.0, 1000.0, A_WEEK):
        intervals.append(sampler.interval)
    assert intervals == [SHORTEST_SECONDS, 1.0, 3.0, LONGEST_SECONDS, LONGEST_SECONDS, LONGEST_SECONDS]


def test_the_last_report_has_all_samples_and_is_no_repetition() -> None:
    node = Node()
    sampler = node.sampler()
    over = threading.Event()
    over.set()
    sampler.run(over)
    assert node.reports == []

    node.now = 1.0
    sampler.sample()
    sampler.run(over)
    assert len(node.reports) == 1
    node.now, node.memory = 1.2, 4.0
    sampler.sample()
    assert len(node.reports) == 1
    sampler.run(over)
    assert node.reports[-1][1].metrics[MEMORY].peak == 4.0


def test_only_one_process_of_a_node_samples() -> None:
    node = Node()
    node.live(node.sampler(is_mine=lambda: False), 100)
    assert node.reports == []


def test_a_report_that_fails_ends_nothing() -> None:
    node = Node()

    def fail(_usage: Usage) -> None:
        node.reports.append((node.now, _usage))
        raise OSError("the log is closed")

    sampler = Sampler(node, node, Recorder(0.5), fail, clock=lambda: node.now)
    node.live(sampler, 100)
    assert len(node.reports) > 5


def test_the_line_of_the_longest_report_is_written_at_once() -> None:
    recorder = Recorder(0.5)
    recorder.gpus, recorder.gpu_name = 16, "NVIDIA H100 80GB HBM3 of a very long name"
    for number in range(1000):
        recorder.add({name: Sample(1234.5 + number, 98765.4) for name in UNITS}, 5.0)
    usage = recorder.usage()
    assert usage is not None
    line = line_of(usage)

    assert len(line) < LONGEST_LINE
    assert json.loads(line.partition("usage: ")[2])["series"]["gpu"]
    rest, read = without_report(line)
    assert rest is None
    assert read is not None
    assert read.gpus == 16
