"""The threads that read logs."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from zenml_azureml.azure.jobs import monitor
from zenml_azureml.azure.jobs.status import JobPhase


def watch(name: str, phase: JobPhase, read: Any) -> Any:
    return cast("Any", SimpleNamespace(job=SimpleNamespace(name=name, phase=phase, is_over=phase.ended), read_log=read))


def test_the_log_of_a_job_that_has_ended_is_read_before_those_that_are_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitor, "LOG_READERS", 1)
    readers, order = monitor._LogReaders(), list[str]()
    busy, done, begun = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        assert busy.wait(60)

    readers.read(watch("first", JobPhase.RUNNING, first))
    assert begun.wait(60)

    def followed() -> None:
        order.append("followed")
        done.set()

    readers.read(watch("followed", JobPhase.RUNNING, followed))
    readers.read(watch("ended", JobPhase.COMPLETED, lambda: order.append("ended")))
    busy.set()

    assert done.wait(60)
    assert order == ["ended", "followed"]
