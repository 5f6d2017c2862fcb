"""A step whose end is tested: with a running job, and a note of everything that happens to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest
from zenml.enums import ExecutionStatus

from tests.unit.lifecycle.world import Clock, World
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.state import (
    Event,
)
from zenml_azureml.lifecycle.submitter import Request
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ServerUnavailableError

ERROR = AzureMLError("Azure refuses it.")
AWAY = ServerUnavailableError("ZenML's server was unavailable for 5 minutes (saving the job): refused")
HOUR = timedelta(hours=1)
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
AT_ITS_LIMIT = RunDetails("Canceled", {}, started=NOW, ended=NOW + HOUR, time_limit=HOUR)


class Ending(World):
    """A step with a running job, and a note of everything that happens to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        super().__init__(Clock(), max_unreachable_minutes=0.01, **settings)
        self.happened = self.jobs.happened
        self.answers: list[Callable[[], Event]] = []
        self.saved: list[dict[str, Any]] = []
        self.reported = ExecutionStatus.RUNNING
        self.executor.submitter = cast("Any", SimpleNamespace(submit=self._submit, next_request=self._next_request))
        self.executor.earlier_jobs = cast("Any", SimpleNamespace(note_end=lambda _: self.note("note the end")))
        self.is_stopping = False
        monkeypatch.setattr(self.checks._stopping, "answer", lambda _run: self.is_stopping)
        monkeypatch.setattr(self.jobs, "drop_secret", self._drop_secret)
        monkeypatch.setattr(self.jobs, "release", lambda _step: self.note("release all"))
        monkeypatch.setattr(step_runs, "publish_failure", lambda _step, error: self.note(f"fail: {error.summary}"))
        monkeypatch.setattr(step_runs, "publish_stopped", lambda *_: self.note("publish the stop"))
        monkeypatch.setattr(step_runs, "publish_completed", lambda *_: self.note("publish the success"))
        monkeypatch.setattr(step_runs, "reported_status", lambda _step: self.reported)
        monkeypatch.setattr(step_runs, "reported_failure", lambda _id: "")
        monkeypatch.setattr(step_runs, "add_to_report", lambda _step, _error: self.note("add to the report"))
        monkeypatch.setattr(step_runs, "save_metadata", lambda _step, _id, metadata: self.saved.append(metadata))

    def note(self, what: str) -> None:
        self.happened.append(what)

    def wait(self) -> ExecutionStatus:
        return self.controller.wait(self.step)

    def status(self) -> ExecutionStatus:
        """The status when the work in the background is done."""
        for _ in range(20):
            found = self.controller.status(self.step)
            if self.step.work is None:
                return found
            self.step.work.future.exception(60)
        raise AssertionError("the work has no end")

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        def happens(now: float) -> None:
            if now >= seconds:
                self.time.happens = lambda _now: None
                what()

        self.time.happens = happens

    @property
    def is_forgotten(self) -> bool:
        return self.executions.of(self.step_run) is not self.step

    def _drop_secret(self, _step: Any, *, in_background: bool = False) -> None:
        self.note("drop the secret" + (" in the background" if in_background else ""))

    def _submit(self, _step: Any, target: int, _request: Request) -> Event:
        self.note(f"submit to {target}")
        return self.answers.pop(0)()

    def _next_request(self, _step: Any, check: Callable[[], None]) -> Request:
        check()
        self.note("build the next")
        return Request(cast("Any", None), check)


def preempted(world: Ending) -> None:
    """The job ends as Azure ends it when it takes its machine away."""
    world.jobs.job.details = RunDetails("Failed", {}, error="The node was preempted.", started=NOW, ended=NOW)
    world.jobs.end("Failed")
