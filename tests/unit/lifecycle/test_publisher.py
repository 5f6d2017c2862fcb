"""Ends of steps that the server does not learn of."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.canceller import PROCESS_ENDED
from zenml_azureml.lifecycle.publisher import Publisher
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError


@pytest.mark.parametrize("reason", [None, AzureMLError("The run was over.")])
def test_a_stop_that_cannot_be_published_is_logged_with_the_command_that_repairs_it(
    reason: AzureMLError | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(Clock())
    publisher = Publisher(uuid4(), world.executions, world.jobs, world.time)  # type: ignore[arg-type]

    def away(*_arguments: Any) -> None:
        raise ServerUnavailableError("ZenML's server is unavailable.")

    monkeypatch.setattr(step_runs, "publish_stopped", away)

    publisher.stop(world.step, reason)

    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "zenml-azureml jobs wait zenml-1" in message
    assert ("The run was over." if reason else "The step `train` was stopped.") in message


def test_at_exit_each_stop_that_cannot_be_published_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world, other = World(Clock()), World(Clock())
    publisher = Publisher(uuid4(), world.executions, world.jobs, world.time)  # type: ignore[arg-type]

    def away(*_arguments: Any) -> None:
        raise ServerUnavailableError("ZenML's server is unavailable.")

    monkeypatch.setattr(step_runs, "has_reported", away)

    publisher.stop_all([world.step, other.step])

    messages = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(messages) == 2
    assert all("zenml-azureml jobs wait zenml-1" in message for message in messages)


@pytest.mark.parametrize("reported", [False, True])
def test_the_end_of_the_process_stops_each_step_that_has_not_reported_its_end(
    reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, stopped = World(Clock()), list[Any]()
    monkeypatch.setattr(step_runs, "publish_stopped", lambda step_run, _account: stopped.append(step_run))
    monkeypatch.setattr(step_runs, "has_reported", lambda _step_run: reported)
    monkeypatch.setattr(step_runs, "reported_ends", lambda _run: {world.step.id} if reported else set())

    world.controller.stop([world.step], PROCESS_ENDED)

    assert stopped == ([] if reported else [world.step_run])
