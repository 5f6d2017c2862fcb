"""For how long a log is tried that cannot be read: each success begins the time anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.identity import ClientSecretCredential

from tests.unit.test_retry import ManualTime
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.watch import LOG_PATIENCE, Watch, WatchOptions
from zenml_azureml.emulator import WorkspaceName


def test_a_log_that_was_read_meanwhile_has_its_whole_time_again(
    credential: ClientSecretCredential, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, time = WorkspaceName(), ManualTime()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    options = WatchOptions(tag="", patience=timedelta(minutes=30), on_line=lambda _line: None)
    watch = Watch(WorkspaceConnection(address, lambda: credential), "train", options, time)
    answers: list[Any] = [ServiceRequestError("away"), [], ServiceRequestError("away")]

    def answer(*_arguments: Any) -> Any:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(watch._follower, "read_new", answer)
    monkeypatch.setattr(watch._follower, "tell_rest", answer)
    watch.job.status = "Running"
    watch.read_log()
    time.now += LOG_PATIENCE.total_seconds() - 1
    watch.read_log()
    watch.job.status = "Completed"
    time.now += 5
    watch.read_log()

    assert answers == []
    assert not watch.job.settled
