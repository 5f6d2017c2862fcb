"""How often a job is looked at: the longer its state has lasted, the less."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.workspace.watch import LONGEST_INTERVAL, SHORTEST_INTERVAL, look_interval

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
