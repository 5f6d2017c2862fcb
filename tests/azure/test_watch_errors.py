"""When the watch of a job gives up: at once for what no retry can help, and else only after its patience."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential

from tests.unit.test_retry import ManualTime
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.hosts import ForeignHostError
from zenml_azureml.azure.jobs.watch import Watch, WatchOptions
from zenml_azureml.emulator import WorkspaceName
from zenml_azureml.exceptions import AzureMLError

ELSEWHERE = "Azure's answer leads to https://elsewhere.example, which is sent no token"


@pytest.fixture
def watch(credential: ClientSecretCredential) -> Watch:
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    options = WatchOptions(tag="", patience=timedelta(minutes=30), on_line=lambda _line: None)
    watch = Watch(WorkspaceConnection(address, lambda: credential), "train", options, ManualTime())
    watch.job.status = "Running"
    return watch


def test_an_answer_that_leads_to_a_foreign_host_ends_the_watch_at_once(watch: Watch) -> None:
    watch.on_error(ForeignHostError(ELSEWHERE))

    assert isinstance(watch.job.error, AzureMLError)
    assert "elsewhere.example" in str(watch.job.error)


def test_a_sign_in_that_failed_may_be_renewed(watch: Watch) -> None:
    watch.on_error(ClientAuthenticationError("AADSTS700082: the refresh token has expired"))

    assert not watch.job.settled


@pytest.mark.parametrize(
    ("error", "given_up"),
    [(ForeignHostError(ELSEWHERE), True), (ClientAuthenticationError("AADSTS700082: expired"), False)],
)
def test_the_log_at_a_foreign_host_is_given_up_at_once_and_the_job_has_its_end(
    watch: Watch, error: Exception, given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(watch._follower, "tell_rest", refuse)
    watch.job.status = "Completed"

    watch.read_log()

    assert watch.job.settled is given_up
    assert watch.job.error is None
