"""Which jobs `jobs release` ends: those that are held open, and no other."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from zenml_azureml import tags
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.cli import jobs_release
from zenml_azureml.cli.jobs_cancel import Reporter
from zenml_azureml.contract.hold import HELD_UNTIL
from zenml_azureml.run_store import step_runs

BY_CODE = SimpleNamespace(source="builtins.ValueError", message="a shape does not fit")


class Place:
    """A workspace with one job."""

    def __init__(self, job: JobSnapshot) -> None:
        self.job, self.cancelled = job, list[str]()
        self.workspace = self

    def find_job(self, _name: str) -> JobSnapshot:
        return JobSnapshot(self.job.name, "Canceled", self.job.tags) if self.cancelled else self.job

    def cancel(self, name: str) -> bool:
        self.cancelled.append(name)
        return True


def job(status: str = "Running", *, held: bool = True, step_run: str = "") -> JobSnapshot:
    of_step = {tags.STEP_RUN_ID: step_run or str(uuid4())}
    return JobSnapshot("zenml-1", status, {**of_step, **({tags.HOLD: "30"} if held else {})})


def server(monkeypatch: pytest.MonkeyPatch, *, reports: bool = True, minutes: float = 5) -> None:
    until = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    found = SimpleNamespace(exception_info=BY_CODE if reports else None, run_metadata={HELD_UNTIL: until.isoformat()})
    monkeypatch.setattr(step_runs, "with_metadata", lambda _id: found)


def release(place: Place) -> bool:
    reporter = Reporter(as_json=False)
    return jobs_release.release(["zenml-1"], [cast("Any", place)], timedelta(seconds=5), reporter)


def test_a_held_job_is_ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    server(monkeypatch)
    place = Place(job())

    assert release(place)
    assert place.cancelled == ["zenml-1"]
    assert "has ended: Canceled." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "reports", "minutes", "why"),
    [
        (job(held=False), True, 5, "`hold_on_failure_minutes` was not set"),
        (job(), False, 5, "or its step is still running"),
        (job(), True, -5, "or its step is still running"),
        (job(step_run="edited"), True, 5, "does not say whether"),
    ],
)
def test_another_job_is_left_alone_with_the_command_that_cancels_it(
    found: JobSnapshot,
    reports: bool,
    minutes: float,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server(monkeypatch, reports=reports, minutes=minutes)
    place = Place(found)

    assert not release(place)
    assert place.cancelled == []
    told = capsys.readouterr().err
    assert why in told
    assert "To cancel it: zenml-azureml jobs cancel zenml-1" in told


def test_a_job_that_has_ended_by_itself_is_only_cleaned_up(monkeypatch: pytest.MonkeyPatch) -> None:
    server(monkeypatch)
    place = Place(job("Failed"))

    assert release(place)
    assert place.cancelled == []
