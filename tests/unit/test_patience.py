"""Waiting is told, and ends: on a clock that the test moves."""

from __future__ import annotations

import logging

import pytest

from zenml_azureml.azure.waiter import Waiter
from zenml_azureml.exceptions import AzureMLError


class Time:
    """Passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def patience(caplog: pytest.LogCaptureFixture) -> Waiter:
    caplog.set_level(logging.INFO, logger="zenml_azureml")
    time = Time()
    return Waiter("compute cluster `cpu`", "Look at it.", time.clock, time.sleep)


def test_one_line_at_once_and_one_a_minute(patience: Waiter, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(150):
        patience.wait(1, "Creating")

    assert caplog.messages == [
        "Waiting for the compute cluster `cpu`, which is Creating",
        "Still waiting for the compute cluster `cpu`: Creating, 60 seconds so far",
        "Still waiting for the compute cluster `cpu`: Creating, 120 seconds so far",
    ]


def test_what_has_changed_is_told_with_the_next_line(patience: Waiter, caplog: pytest.LogCaptureFixture) -> None:
    for condition in ["Stopping"] * 59 + ["Starting"] * 10:
        patience.wait(1, condition)

    assert caplog.messages[1:] == ["Still waiting for the compute cluster `cpu`: Starting, 60 seconds so far"]


def test_it_ends_after_half_an_hour(patience: Waiter) -> None:
    for _ in range(1800):
        patience.wait(1, "Creating")

    with pytest.raises(AzureMLError, match="still Creating after 0:30:00") as error:
        patience.wait(1, "Creating")

    assert "Next steps: Look at it." in str(error.value)
