"""Work on polled steps, on other threads."""

from __future__ import annotations

import threading

import pytest
from zenml.enums import ExecutionStatus

from tests.contract.waiting import eventually
from zenml_azureml.clock import SYSTEM_TIME
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.worker_pool import WorkerPool


def test_slow_work_is_not_waited_for_and_its_error_is_raised_when_it_is_done() -> None:
    release = threading.Event()

    def work() -> None:
        release.wait(60)
        raise AzureMLError("It failed.")

    started = WorkerPool(SYSTEM_TIME).start(work, ExecutionStatus.PROVISIONING)

    assert not started.future.done()
    assert started.meanwhile is ExecutionStatus.PROVISIONING
    release.set()
    eventually(started.future.done)
    with pytest.raises(AzureMLError, match=r"It failed\."):
        started.future.result()


def test_quick_work_is_done_at_once() -> None:
    assert WorkerPool(SYSTEM_TIME).start(lambda: None, ExecutionStatus.RUNNING).future.done()
