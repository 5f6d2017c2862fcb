"""Whether a run was stopped: asked once in an interval, however many steps are waited for."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import pytest

from tests.contract.waiting import eventually
from tests.unit.test_pacing import StillTime
from zenml_azureml.lifecycle.stop_checks import STOP_CHECK_INTERVAL, StopChecks
from zenml_azureml.run_store import step_runs


class PatientTime(StillTime):
    """It passes only in a sleep, and a wait lasts until the event, or as long as a test says."""

    seconds = 60.0

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        assert seconds is not None
        return event.wait(self.seconds)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The runs that the server was asked about; those in it more than twice are being stopped."""
    asked: list[UUID] = []

    def is_stopping(run_id: UUID) -> bool:
        asked.append(run_id)
        return asked.count(run_id) > 2

    monkeypatch.setattr(step_runs, "is_stopping", is_stopping)
    return asked


def test_a_hundred_who_wait_ask_once_and_all_learn_of_the_stop(asked: list[UUID]) -> None:
    time, run, other = PatientTime(), uuid4(), uuid4()
    checks = StopChecks(time)
    told = []

    for _ in range(3):
        told.append({checks.is_stopping(run) for _ in range(100)})
        time.sleep(STOP_CHECK_INTERVAL.total_seconds())
    assert not checks.is_stopping(other)

    assert told == [{False}, {False}, {True}]
    assert asked == [run, run, run, other]


def test_a_server_that_is_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(run_id: UUID) -> bool:
        raise ConnectionError(str(run_id))

    monkeypatch.setattr(step_runs, "is_stopping", away)

    assert not StopChecks(PatientTime()).is_stopping(uuid4())


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[UUID] = []
    answers, returned = threading.Event(), threading.Event()

    def is_stopping(run_id: UUID) -> bool:
        asked.append(run_id)
        answers.wait(60)
        returned.set()
        return True

    monkeypatch.setattr(step_runs, "is_stopping", is_stopping)
    time, run = PatientTime(), uuid4()
    time.seconds = 0.01
    checks = StopChecks(time)

    for _ in range(3):
        assert not checks.is_stopping(run)
        time.sleep(STOP_CHECK_INTERVAL.total_seconds())
    assert asked == [run], "one request at a time"
    answers.set()
    returned.wait(60)
    eventually(lambda: checks.is_stopping(run), seconds=10)
