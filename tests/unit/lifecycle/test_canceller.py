"""The jobs of a run that is over are cancelled, unless they end by themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.canceller import FINISHING, SUBMIT_LAG
from zenml_azureml.lifecycle.execution import Guard
from zenml_azureml.run_store import step_runs


def world_with(monkeypatch: pytest.MonkeyPatch, reported: Callable[[World], set[UUID]]) -> World:
    """A running job, and what the server answers when it is asked for the steps that have reported their end."""
    world = World(Clock())
    monkeypatch.setattr(step_runs, "reported_ends", lambda _run: reported(world))
    return world


def run_is_over(world: World, *, interrupted: bool = False) -> None:
    world.canceller.end_unless_finishing([world.step], interrupted=interrupted)


def test_the_job_of_an_unfinished_step_is_cancelled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(monkeypatch, lambda _: set())

    run_is_over(world)

    assert world.jobs.happened == ["cancel zenml-1"]
    assert world.time.now == 0
    assert world.step.guard is Guard.NONE


@pytest.mark.parametrize("status", ["Completed", "Finalizing"])
def test_the_job_of_a_step_that_has_reported_its_end_may_end_by_itself(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_with(monkeypatch, lambda world: {world.step.id})

    def happens(now: float) -> None:
        if now >= FINISHING.total_seconds() / 2:
            world.jobs.end(status) if status == "Completed" else setattr(world.jobs.job, "status", status)

    world.time.happens = happens
    run_is_over(world)

    assert world.jobs.happened == []
    assert world.jobs.job.status == status


def test_a_job_that_keeps_running_after_its_step_has_reported_its_end_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_with(monkeypatch, lambda world: {world.step.id})

    run_is_over(world)

    assert world.time.now == FINISHING.total_seconds()
    assert world.jobs.happened == ["cancel zenml-1"]


def test_a_job_that_can_no_longer_be_watched_is_cancelled_although_its_step_has_reported_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_with(monkeypatch, lambda world: {world.step.id})
    world.jobs.job.settle(AzureMLError("Azure cannot be reached."))

    run_is_over(world)

    assert world.jobs.happened == ["cancel zenml-1"]


def test_the_secret_of_a_job_that_ends_by_itself_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(monkeypatch, lambda world: {world.step.id})
    dropped: list[str] = []
    monkeypatch.setattr(world.jobs, "drop_secret", lambda step: dropped.append(step.job_name))
    world.time.happens = lambda _now: world.jobs.end("Completed")

    run_is_over(world)

    assert dropped == ["zenml-1"]
    assert world.jobs.happened == []


def test_the_job_is_cancelled_if_the_server_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(_world: World) -> set[UUID]:
        raise ConnectionError("The server is unavailable.")

    world = world_with(monkeypatch, unavailable)

    run_is_over(world)

    assert world.time.now == 0
    assert world.jobs.happened == ["cancel zenml-1"]


def test_a_user_who_interrupts_a_run_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(monkeypatch, lambda world: {world.step.id})

    run_is_over(world, interrupted=True)

    assert world.time.now == 0
    assert world.step.guard is Guard.EXIT, "until its end is published"


def test_a_caller_waits_for_the_cancel_of_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """At exit the process would end in the middle of the other thread's cancel."""
    world = world_with(monkeypatch, lambda _: set())
    requested, may_cancel, over = threading.Event(), threading.Event(), threading.Event()
    cancel = world.jobs.cancel

    def cancel_slowly(step: Any) -> bool:
        requested.set()
        may_cancel.wait(30)
        return cancel(step)

    monkeypatch.setattr(world.jobs, "cancel", cancel_slowly)
    first = threading.Thread(target=lambda: world.canceller.end([world.step]))

    def end_too() -> None:
        run_is_over(world, interrupted=True)
        over.set()

    second = threading.Thread(target=end_too)
    first.start()
    assert requested.wait(30)
    second.start()

    assert not over.wait(0.2)
    may_cancel.set()
    assert over.wait(30)
    assert world.jobs.happened == ["cancel zenml-1"]
    first.join()
    second.join()


def test_a_job_is_cancelled_by_the_caller_if_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(monkeypatch, lambda _: set())

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    world.canceller.end([world.step])

    assert world.jobs.happened == ["cancel zenml-1"]


@pytest.mark.parametrize("status", ["Queued", "Running", "Finalizing", "Completed", "Failed", "Canceled"])
@pytest.mark.parametrize("reported", [True, False, None])
def test_a_step_keeps_its_own_end_when_another_one_fails(
    status: str, reported: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_reported(_step_run: Any) -> bool:
        if reported is None:
            raise ConnectionError("The server is unavailable.")
        return reported

    world = world_with(monkeypatch, lambda _: set())
    monkeypatch.setattr(step_runs, "has_reported", has_reported)
    world.jobs.job.status = status

    world.controller.cancel(world.step, "another step of the run has failed")

    has_its_own_end = bool(reported) or status not in ("Queued", "Running")
    assert (world.jobs.happened == []) is has_its_own_end
    because = "" if has_its_own_end else "another step of the run has failed"
    assert world.executions.why_stopped(world.step) == because


def test_a_job_that_appears_while_another_caller_looks_for_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(monkeypatch, lambda _: set())
    looked, exists = threading.Event(), threading.Event()
    answers = []
    cancel_job = world.jobs.cancel

    def cancel(step: Any) -> bool:
        answers.append(exists.is_set())
        if not answers[-1]:
            looked.set()
            exists.wait(60)  # the first caller's answer is on its way while the job is created
            return False
        return cancel_job(step)

    monkeypatch.setattr(world.jobs, "cancel", cancel)
    first = threading.Thread(target=world.canceller.end, args=([world.step],))
    first.start()
    assert looked.wait(60)
    second = threading.Thread(target=world.canceller.end, args=([world.step],))
    second.start()
    second.join(0.2)  # it waits for the first one by now
    assert second.is_alive()

    exists.set()
    first.join(60)
    second.join(60)

    assert answers == [False, True]
    assert world.jobs.job.status == "Canceled"


def test_an_interrupted_cancellation_is_left_to_the_exit_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(monkeypatch, lambda _: set())

    def interrupted(_thread: threading.Thread, _timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    may_cancel = threading.Event()
    cancel = world.jobs.cancel
    monkeypatch.setattr(world.jobs, "cancel", lambda step: may_cancel.wait(60) and cancel(step))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            world.canceller.end([world.step])

    world.executor.clean_up(world.step)  # as ZenML does in its `finally`
    assert world.executions.guarded() == [world.step]
    may_cancel.set()
    world.canceller.end([world.step])
    assert world.executions.guarded() == []


def test_the_log_of_a_job_that_is_being_cancelled_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with(monkeypatch, lambda _: set())
    watched = []

    def watch(_step: Any, *, quietly: bool = False) -> Any:
        watched.append(quietly)
        return world.jobs.job

    monkeypatch.setattr(world.jobs, "cancel", lambda _step: True)  # accepted, and the job runs on
    monkeypatch.setattr(world.jobs, "watch", watch)

    world.canceller.end([world.step])

    assert len(watched) > 1
    assert all(watched)


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_cancellation_that_is_not_confirmed_is_said_with_the_command_that_repeats_it(
    is_confirmed: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_with(monkeypatch, lambda _: set())
    if not is_confirmed:
        monkeypatch.setattr(world.jobs, "cancel", lambda _step: True)  # accepted, and the job runs on
    world.canceller.end([world.step])

    said = [message for message in caplog.messages if "az ml job cancel --name zenml-1" in message]
    assert len(said) == (0 if is_confirmed else 1)
    assert ("The Azure ML job `zenml-1` has ended: Canceled." in caplog.messages) is is_confirmed


@pytest.mark.parametrize("was_made", [True, False])
def test_a_job_that_azure_does_not_know_is_looked_for_and_said_if_it_was_made(
    was_made: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_with(monkeypatch, lambda _: set())
    monkeypatch.setattr(world.jobs, "cancel", lambda _step: False)
    if was_made:
        world.step_run.run_metadata[step_runs.JOB_NAME_KEY] = "zenml-1"
    world.canceller.end([world.step])

    assert world.time.now == (SUBMIT_LAG.total_seconds() if was_made else 0)
    assert ["does not exist" in message for message in caplog.messages] == ([True] if was_made else [])
    assert world.step.cancelling is None, "so that another caller tries again"


@pytest.mark.parametrize("refuses", [True, False])
def test_a_cancellation_that_azure_refuses_is_said_and_noted(
    refuses: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def cancel(_step: Any) -> bool:
        raise AzureMLError("Azure ML did not cancel the job `zenml-1`.")

    world = world_with(monkeypatch, lambda _: set())
    if refuses:
        monkeypatch.setattr(world.jobs, "cancel", cancel)
    world.canceller.end([world.step])

    assert ("Azure ML did not cancel the job `zenml-1`." in caplog.messages) is refuses
    assert world.step.is_refused is refuses
