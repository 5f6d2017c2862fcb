"""A job that is held open counts as ended: for the wait, for the end of the run, for the end of the process."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zenml.enums import ExecutionStatus

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.contract.hold import HELD_UNTIL
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.execution import Guard
from zenml_azureml.lifecycle.holding import account_of_hold, hold_of
from zenml_azureml.lifecycle.state import StepPhase
from zenml_azureml.run_store import step_runs
from zenml_azureml.specs.job import JobService

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
BY_CODE = SimpleNamespace(source="builtins.ValueError", message="a shape does not fit")
BY_OPERATOR = SimpleNamespace(source="zenml_azureml.exceptions.AzureMLError", message="the node has failed")


def step_run(report: Any, until: datetime | None) -> Any:
    metadata = {} if until is None else {HELD_UNTIL: until.isoformat()}
    return SimpleNamespace(exception_info=report, run_metadata=metadata, status=ExecutionStatus.FAILED)


@example(BY_CODE, timedelta(0))
@given(st.sampled_from([BY_CODE, BY_OPERATOR, None]), st.none() | st.timedeltas(timedelta(-1), timedelta(1)))
def test_only_a_job_whose_code_has_reported_its_failure_is_held_and_only_until_the_end_that_it_saved(
    report: Any, left: timedelta | None
) -> None:
    until = None if left is None else NOW + left

    found = hold_of(step_run(report, until), NOW)

    assert found == (until if report is BY_CODE and until is not None and until > NOW else None)


class Held(World):
    """A running job, whose step run the server knows to have failed."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, minutes: float = 30, *, wanted: bool = True, report: Any = BY_CODE
    ) -> None:
        super().__init__(Clock(), **({"hold_on_failure_minutes": 30} if wanted else {}))
        self.asked = 0
        found = step_run(report, datetime.now(timezone.utc) + timedelta(minutes=minutes))

        def ask(_step_run_id: object) -> Any:
            self.asked += 1
            return found

        monkeypatch.setattr(step_runs, "with_metadata", ask)
        monkeypatch.setattr(step_runs, "has_reported", lambda _step_run: True)
        monkeypatch.setattr(step_runs, "reported_failure", lambda _id: "ValueError: a shape does not fit")
        monkeypatch.setattr(step_runs, "add_to_report", lambda _step_run, error: self.jobs.happened.append("report"))
        monkeypatch.setattr(step_runs, "reported_ends", lambda _run: {self.step.id})
        monkeypatch.setattr(step_runs, "is_stopping", lambda _run: False)
        monkeypatch.setattr(step_runs, "save_metadata", lambda *_: None)
        for kept in ("drop_secret", "release"):
            monkeypatch.setattr(self.jobs, kept, lambda *_, kept=kept, **__: self.jobs.happened.append(kept))
        monkeypatch.setattr(self.jobs, "leave", lambda _step: self.jobs.happened.append("leave"), raising=False)

    def read_log(self, now: float) -> None:
        """Do as the monitor does with a job whose log is to be read to its end."""
        if self.jobs.job.is_over:
            self.jobs.job.settle()


def test_a_wait_ends_with_the_failure_and_keeps_the_job_its_secret_and_its_compute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Held(monkeypatch)
    world.time.happens = world.read_log

    with pytest.raises(AzureMLError) as raised:
        world.controller.wait(world.step)
    world.executor.clean_up(world.step)

    assert "failed: ValueError: a shape does not fit" in str(raised.value)
    assert "The job `zenml-1` is held open until " in str(raised.value)
    assert world.jobs.happened == ["report", "leave"]
    assert world.jobs.job.status == "Running"
    assert world.step.state.phase is StepPhase.FAILED
    assert world.step.guard is Guard.NONE


def test_a_poll_of_a_held_job_whose_log_is_still_read_finds_it_running(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Held(monkeypatch)

    assert world.controller.status(world.step) is ExecutionStatus.RUNNING
    assert world.step.is_held


@pytest.mark.parametrize(("minutes", "report"), [(-1, BY_CODE), (30, BY_OPERATOR), (30, None)])
def test_a_job_that_is_not_held_is_waited_for(minutes: float, report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Held(monkeypatch, minutes, report=report)

    def ends_later(now: float) -> None:
        if now > 60:
            world.jobs.end("Failed")

    world.time.happens = ends_later
    with pytest.raises(AzureMLError, match="The job is not held open, although"):
        world.controller.wait(world.step)
    world.executor.clean_up(world.step)

    assert world.time.now > 60
    assert "release" in world.jobs.happened


def test_a_step_without_the_setting_costs_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Held(monkeypatch, wanted=False)
    world.time.happens = lambda now: world.jobs.end("Failed") if now > 60 else None

    with pytest.raises(AzureMLError) as raised:
        world.controller.wait(world.step)

    assert world.asked == 0
    assert "held" not in str(raised.value)


@pytest.mark.parametrize("minutes", [30, -1])
def test_the_end_of_a_run_leaves_a_held_job_alone(minutes: float, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Held(monkeypatch, minutes)

    world.canceller.end_unless_finishing([world.step], interrupted=False)

    assert (world.jobs.job.status == "Running") is (minutes > 0)
    assert ("drop_secret" in world.jobs.happened) is (minutes < 0)
    assert world.step.guard is Guard.NONE


def test_the_end_of_a_run_cancels_a_job_whose_step_wants_no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Held(monkeypatch, wanted=False)

    world.canceller.end_unless_finishing([world.step], interrupted=False)

    assert world.jobs.job.status == "Canceled"
    assert world.asked == 0


def test_the_end_of_a_run_cancels_a_job_of_which_the_server_does_not_say_whether_it_is_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Held(monkeypatch)

    def away(_step_run_id: object) -> Any:
        raise ConnectionError

    monkeypatch.setattr(step_runs, "with_metadata", away)
    world.canceller.end_unless_finishing([world.step], interrupted=False)

    assert world.jobs.job.status == "Canceled"


def test_an_interruption_after_the_hold_was_noticed_cancels_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Held(monkeypatch)

    def interrupt(_now: float) -> None:
        if world.step.is_held:
            raise KeyboardInterrupt

    world.time.happens = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.controller.wait(world.step)
    world.canceller.end_unless_finishing([world.step], interrupted=True)
    world.executor.clean_up(world.step)

    assert world.jobs.happened == ["leave"]
    assert world.jobs.job.status == "Running"


@pytest.mark.parametrize(("usd", "price"), [(None, "at an unknown price"), (0.5261, "at about 0.53 USD per hour")])
def test_the_account_of_a_hold_names_its_end_its_price_and_the_ways_in_and_out(usd: float | None, price: str) -> None:
    services = [JobService("a", "vs_code"), JobService("b", "ssh"), JobService("c", "tensor_board")]

    lines = account_of_hold("zenml-1", NOW, usd, services).splitlines()

    assert lines[0] == f"The job `zenml-1` is held open until 2026-01-01 00:00:00 UTC, {price}."
    assert lines[1] == "  To look into it: zenml-azureml jobs shell zenml-1"
    assert lines[2] == "  To look into it: VS Code of the job in Studio"
    assert lines[-1] == "  To end it now: zenml-azureml jobs release zenml-1"
    assert "no interactive service" in account_of_hold("zenml-1", NOW, usd, services[2:])
