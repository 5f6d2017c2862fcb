"""How often a job is looked at: the longer its state has lasted, the less."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.still_time import StillTime
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.azure.jobs.watch import LONGEST_INTERVAL, SHORTEST_INTERVAL, Watch, WatchOptions, look_interval

ages = st.timedeltas(timedelta(), timedelta(days=30))


@given(ages)
def test_it_is_never_shorter_than_a_second_nor_longer_than_five(age: timedelta) -> None:
    assert SHORTEST_INTERVAL <= look_interval(age) <= LONGEST_INTERVAL


@given(ages, ages)
def test_it_only_grows(one: timedelta, other: timedelta) -> None:
    assert look_interval(min(one, other)) <= look_interval(max(one, other))


def test_jobs_of_five_minutes_are_looked_at_every_second() -> None:
    assert look_interval(timedelta(minutes=5)) == timedelta(seconds=1)
    assert look_interval(timedelta(minutes=10)) == timedelta(seconds=2)


@pytest.fixture
def time() -> StillTime:
    return StillTime()


@pytest.fixture
def watch(time: StillTime) -> Watch:
    connection = WorkspaceConnection(WorkspaceAddress("s", "r", "w"), lambda: pytest.fail("nobody is asked"), time=time)
    return Watch(connection, "job", WatchOptions(tag="", patience=timedelta(minutes=30)), time)


def looks(watch: Watch, time: StillTime, status: str, seconds: int) -> int:
    """How often it is looked at in that time, by somebody who could do so twice a second."""
    number = 0
    for _ in range(2 * seconds):
        if watch.is_due_by(time.monotonic()):
            watch.saw(JobSnapshot("job", status))
            number += 1
        time.sleep(0.5)
    return number


def test_a_job_that_has_run_for_an_hour_is_looked_at_less_often_until_something_happens(
    watch: Watch, time: StillTime
) -> None:
    assert looks(watch, time, "Running", 60) == 60
    time.sleep(3600)
    assert looks(watch, time, "Running", 60) == 12

    watch.hurry()  # it was asked to end

    assert looks(watch, time, "CancelRequested", 60) >= 60


def test_a_job_that_begins_to_run_after_hours_in_the_queue_is_looked_at_every_second(
    watch: Watch, time: StillTime
) -> None:
    looks(watch, time, "Queued", 10)
    time.sleep(7200)

    assert looks(watch, time, "Running", 60) >= 60


def test_the_studio_url_of_the_submit_stays_and_one_that_is_not_known_is_taken_from_a_look(time: StillTime) -> None:
    connection = WorkspaceConnection(WorkspaceAddress("s", "r", "w"), lambda: pytest.fail("nobody is asked"), time=time)
    known = WatchOptions(tag="", patience=timedelta(minutes=30), studio_url="https://studio/?tid=1")
    for options, url in ((known, "https://studio/?tid=1"), (WatchOptions("", timedelta()), "https://studio/")):
        watch = Watch(connection, "job", options, time)
        watch.saw(JobSnapshot("job", "Running", compute="gpus", studio_url="https://studio/"))

        assert watch.job.studio_url == url
