"""Whether a run was stopped: asked once in an interval, however many steps are waited for."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from zenml.exceptions import RunStoppedException

from tests.contract.waiting import eventually
from tests.unit.still_time import StillTime
from zenml_azureml.lifecycle.step_checks import STOP_CHECK_INTERVAL, StepChecks
from zenml_azureml.run_store import step_runs


class PatientTime(StillTime):
    """It passes only in a sleep, and a wait lasts until the event, or as long as a test says."""

    seconds = 60.0

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        assert seconds is not None
        return event.wait(self.seconds)


def checks_with(time: PatientTime) -> StepChecks:
    return StepChecks(cast("Any", None), time)


def is_stopping(checks: StepChecks, run: UUID) -> bool:
    """Whether a caller that waits for a step of the run learns of a stop."""
    try:
        checks.check_run(cast("Any", SimpleNamespace(run_id=run)))
    except RunStoppedException:
        return True
    return False


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The runs that the server was asked about; those in it more than twice are being stopped."""
    asked: list[UUID] = []

    def answer(run_id: UUID) -> bool:
        asked.append(run_id)
        return asked.count(run_id) > 2

    monkeypatch.setattr(step_runs, "is_stopping", answer)
    return asked


def test_a_hundred_who_wait_ask_once_and_all_learn_of_the_stop(asked: list[UUID]) -> None:
    time, run, other = PatientTime(), uuid4(), uuid4()
    checks = checks_with(time)
    told = []

    for _ in range(3):
        told.append({is_stopping(checks, run) for _ in range(100)})
        time.sleep(STOP_CHECK_INTERVAL.total_seconds())
    assert not is_stopping(checks, other)

    assert told == [{False}, {False}, {True}]
    assert asked == [run, run, run, other]


def test_a_server_that_is_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(run_id: UUID) -> bool:
        raise ConnectionError(str(run_id))

    monkeypatch.setattr(step_runs, "is_stopping", away)

    assert not is_stopping(checks_with(PatientTime()), uuid4())


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[UUID] = []
    answers, returned = threading.Event(), threading.Event()

    def answer(run_id: UUID) -> bool:
        asked.append(run_id)
        answers.wait(60)
        returned.set()
        return True

    monkeypatch.setattr(step_runs, "is_stopping", answer)
    time, run = PatientTime(), uuid4()
    time.seconds = 0.01
    checks = checks_with(time)

    for _ in range(3):
        assert not is_stopping(checks, run)
        time.sleep(STOP_CHECK_INTERVAL.total_seconds())
    assert asked == [run], "one request at a time"
    answers.set()
    returned.wait(60)
    eventually(lambda: is_stopping(checks, run), seconds=10)
