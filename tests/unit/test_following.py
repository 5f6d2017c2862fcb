"""A step past its limits is ended, not only called failed; and what is broken off is done at exit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
import requests
from zenml.enums import ExecutionStatus

from tests.contract.waiting import eventually
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.controller import StepController
from zenml_azureml.lifecycle.supervisor import RunSupervisor
from zenml_azureml.lifecycle.worker_pool import WorkerPool
from zenml_azureml.run_store import step_runs


class World:
    """A step of a dynamic pipeline, its job, and what happens to both in the order in which it does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.happened: list[str] = []
        self.step_run = cast(
            "Any",
            SimpleNamespace(
                id=uuid4(),
                pipeline_run_id=uuid4(),
                name="train",
                run_metadata={},
                config=SimpleNamespace(command=["true"]),
            ),
        )
        self.job = JobHandle("zenml-1", status="Queued")
        self.late: AzureMLError | None = None
        self.end: Callable[[], None] = lambda: self.happened.append("end the job")
        self.guard = RunSupervisor(lambda _steps, _reason: None, SYSTEM_TIME)
        moves = SimpleNamespace(
            timeout=lambda _: timedelta(seconds=0.5),
            waits_too_long=lambda *_: self.late is not None,
            last_wait=lambda *_: self.late,
            reason=lambda *_: None,
            finish=lambda *_: "",
            history=lambda _: "",
            how_to_wait=lambda _: "zenml-azureml jobs wait zenml-1",
        )

        def end(_steps: Any, *, look_for: timedelta, then: Callable[[], None]) -> None:
            self.end()
            then()

        ending = SimpleNamespace(end=end, why=lambda _: "", cannot_end=lambda _: False)
        self.following = StepController(
            cast("Any", moves),
            cast("Any", ending),
            self.guard,
            lambda _: self.job,
            drop_secret=lambda *_args, **_options: None,
            time=SYSTEM_TIME,
        )
        monkeypatch.setattr(step_runs, "publish_failure", lambda *_: self.happened.append("publish the failure"))
        monkeypatch.setattr(step_runs, "is_stopping", lambda _: False)

    def status(self) -> ExecutionStatus:
        """The status when the work in the background is done."""
        for _ in range(600):
            status = self.following.status(self.step_run)
            if status is not ExecutionStatus.RUNNING:
                return status
            threading.Event().wait(0.05)
        raise AssertionError("still running")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_job_past_its_queue_timeout_is_ended_before_its_step_fails(world: World) -> None:
    world.late = AzureMLError("It has waited for too long.")

    assert world.status() is ExecutionStatus.FAILED
    assert world.happened == ["end the job", "publish the failure"]


def test_an_ending_that_a_second_ctrl_c_breaks_off_is_left_to_the_exit_of_the_process(world: World) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    world.end = interrupted

    with pytest.raises(KeyboardInterrupt):
        world.following.end(world.step_run)

    assert world.guard.busy
    world.guard.clean_up(world.step_run.id)  # as ZenML does in its `finally`
    assert world.guard.busy


def test_an_ending_that_is_done_leaves_nothing_to_the_exit(world: World) -> None:
    world.following.end(world.step_run)

    assert not world.guard.busy


def test_the_status_waits_for_no_answer_of_a_server_that_hangs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the server hangs, the answer is that the step runs; when it answers, it is the end."""
    answers = threading.Event()
    threads: list[str] = []

    def reported_status(_step_run: object) -> ExecutionStatus:
        threads.append(threading.current_thread().name)
        answers.wait(60)
        return ExecutionStatus.COMPLETED

    monkeypatch.setattr(step_runs, "reported_status", reported_status)
    world.job.status = "Completed"
    world.job.settle()

    for _ in range(3):
        assert world.following.status(world.step_run) is ExecutionStatus.RUNNING
    answers.set()

    assert world.status() is ExecutionStatus.COMPLETED
    assert threading.current_thread().name not in threads
    assert len(threads) == 1


def test_a_step_whose_server_stays_away_keeps_running_and_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.job.status = "Canceled"
    world.job.settle()
    away = True

    def get(*_arguments: object, **_options: object) -> Any:
        if away:
            raise requests.ConnectionError("Connection refused")
        return SimpleNamespace(status=ExecutionStatus.STOPPED, exception_info=None)

    monkeypatch.setattr(step_runs, "Client", lambda: SimpleNamespace(get_run_step=get))
    for _ in range(60):
        assert world.following.status(world.step_run) is ExecutionStatus.RUNNING
        threading.Event().wait(0.05)
    shown = [message for message in caplog.messages if "  zenml-azureml jobs wait zenml-1" in message]
    assert len(shown) == 1
    assert "The Azure ML job of step `train` was cancelled" in shown[0]

    away = False
    assert world.status() is ExecutionStatus.STOPPED


def error_of(work: Callable[[], object]) -> AzureMLError | None:
    try:
        work()
    except AzureMLError as error:
        return error
    return None


def test_work_is_done_once_for_a_step_and_its_error_is_raised_once() -> None:
    background, step, release = WorkerPool(SYSTEM_TIME), uuid4(), threading.Event()
    begun: list[None] = []

    def work() -> ExecutionStatus | None:
        begun.append(None)
        release.wait(60)
        raise AzureMLError("It failed.")

    for _ in range(2):
        assert background.start(step, work, ExecutionStatus.PROVISIONING) is ExecutionStatus.PROVISIONING
    assert background.status(step) is ExecutionStatus.PROVISIONING
    release.set()
    error = eventually(lambda: error_of(lambda: background.status(step)))

    assert str(error) == "It failed."
    assert begun == [None]
    assert background.status(step) is None


def test_work_that_is_quickly_done_shows_at_once() -> None:
    background = WorkerPool(SYSTEM_TIME)

    assert background.start(uuid4(), lambda: ExecutionStatus.FAILED, ExecutionStatus.RUNNING) is ExecutionStatus.FAILED
