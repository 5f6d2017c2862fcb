"""Which of a node's services leads to a shell, and what is said if none does."""

from __future__ import annotations

from typing import Any

import pytest

from zenml_azureml.azure.jobs.services import endpoint_of
from zenml_azureml.azure.responses import AnswerError
from zenml_azureml.exceptions import AzureMLError

#: As in the tests of Microsoft's own client (Azure/azure-dev, job_show_services_test.go).
SSH: dict[str, Any] = {
    "type": "SSH",
    "port": 8705,
    "status": "Running",
    "error": None,
    "endpoint": "",
    "properties": {"ProxyEndpoint": "wss://ssh-host"},
}
CODE = {"type": "VSCode", "status": "Running", "endpoint": "vscode://x?a=1&b=2", "properties": {}}


@pytest.mark.parametrize("address", ["wss://ssh-host", "https://ssh-host"])
def test_the_address_is_that_of_a_websocket(address: str) -> None:
    found = {"code": CODE, "mine": {**SSH, "properties": {"ProxyEndpoint": address}}}

    assert endpoint_of(found, "zenml-1", 0) == "wss://ssh-host"


def test_a_job_without_ssh_is_told_the_setting_and_its_other_services() -> None:
    with pytest.raises(AzureMLError) as none:
        endpoint_of({}, "zenml-1", 0)
    with pytest.raises(AzureMLError) as other:
        endpoint_of({"code": CODE}, "zenml-1", 0)

    assert none.value.summary == "The Azure ML job `zenml-1` has no SSH service."
    assert "'type': 'ssh'" in none.value.hint
    assert "It has `code` (VSCode), which its page in Studio opens: zenml-azureml jobs open zenml-1" in other.value.hint


def test_another_node_than_the_first_needs_a_service_of_all_nodes() -> None:
    with pytest.raises(AzureMLError, match="no SSH service on node 1") as raised:
        endpoint_of({}, "zenml-1", 1)

    assert "`nodes='all'`" in raised.value.hint


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"status": "NotStarted"}, "its status is `NotStarted`"),
        ({"status": "Failed", "error": {"error": {"message": "port in use"}}}, "Azure: port in use"),
        ({"status": "Stopped", "error": {}}, "its status is `Stopped`"),
    ],
)
def test_a_service_that_does_not_run_is_named_with_azures_message(service: dict[str, Any], words: str) -> None:
    with pytest.raises(AzureMLError) as raised:
        endpoint_of({"mine": {**SSH, **service}}, "zenml-1", 0)

    assert words in str(raised.value)
    assert "Try again" in raised.value.hint


@pytest.mark.parametrize("properties", [None, {}, {"ProxyEndpoint": ""}, {"ProxyEndpoint": "file:///etc/passwd"}])
def test_a_service_without_an_address_is_an_answer_that_cannot_be_read(properties: Any) -> None:
    with pytest.raises(AnswerError, match="ProxyEndpoint"):
        endpoint_of({"mine": {**SSH, "properties": properties}}, "zenml-1", 0)
