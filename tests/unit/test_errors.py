"""What went wrong, in Azure's own words, and what to do next."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.identity import ClientSecretCredential

from tests.contract.arm import Arm
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.errors import error_message, is_missing_workspace, to_azureml_error
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.emulator import Emulator, WorkspaceName

EMULATED = WorkspaceName()


def no_sleep(_seconds: float) -> None:
    """azure-core waits between retries; nothing here changes meanwhile."""


def a_connection(
    credential: ClientSecretCredential,
    subscription: str = EMULATED.subscription_id,
    group: str = EMULATED.resource_group,
    name: str = EMULATED.name,
) -> WorkspaceConnection:
    address = WorkspaceAddress(subscription, group, name)
    return WorkspaceConnection(address, lambda: credential, WorkspaceTransport(sleeper=no_sleep))


def error_of(connection: WorkspaceConnection) -> AzureError:
    """What the SDK makes of the next answer."""
    with pytest.raises(AzureError) as raised:
        connection.client.jobs.get("job")
    return raised.value


def explained(connection: WorkspaceConnection, error: AzureError) -> str:
    return str(to_azureml_error("submit the job `job`", error, connection.address))


def body(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("status", "answer", "words", "advice"),
    [
        (403, body("AuthorizationFailed", "no right"), "(AuthorizationFailed) no right", "`AzureML Data Scientist`"),
        (429, body("TooManyRequests", "slow down"), "(TooManyRequests) slow down", "try again in a few minutes"),
        (503, None, "Service Unavailable", "try again in a few minutes"),
        (400, body("UserError", "not so"), "(UserError) not so", "Correct what Azure names above"),
    ],
)
def test_an_answer_of_azure_is_told_in_its_words_with_what_to_do(
    status: int, answer: Any, words: str, advice: str, emulator: Emulator, credential: ClientSecretCredential
) -> None:
    fault = {"path": "/jobs/job$", "status": status, "body": answer, "times": 10}
    Arm(emulator).call("POST", "/_emulator/faults", fault)
    connection = a_connection(credential)

    told = explained(connection, error_of(connection))

    assert told.startswith(
        "Failed to submit the job `job` in the Azure ML workspace `emulator` (resource group `emulator`, "
        "subscription `00000000-0000-0000-0000-000000000001`).\nAzure: "
    )
    assert words in told
    assert told.count("Next steps: ") == 1
    assert advice in told.partition("Next steps: ")[2]


def test_an_answer_that_refuses_the_token_names_the_credential(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    answer = body("InvalidAuthenticationToken", "bad")
    Arm(emulator).call("POST", "/_emulator/faults", {"path": "/jobs/job$", "status": 401, "body": answer, "times": 2})
    connection = a_connection(credential)

    told = explained(connection, error_of(connection))

    assert told.startswith(
        "Failed to submit the job `job` in the Azure ML workspace `emulator` (resource group `emulator`, subscription "
        "`00000000-0000-0000-0000-000000000001`): the credential `ClientSecretCredential` signed in, but its tokens "
        "are refused.\nAzure: (InvalidAuthenticationToken) bad\nNext steps: Check the credentials."
    )


@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ({"name": "elsewhere"}, "workspace_name"),
        ({"group": "elsewhere"}, "resource_group"),
        ({"subscription": "00000000-0000-0000-0000-000000000000"}, "subscription_id"),
    ],
)
def test_a_wrong_part_of_the_address_is_named_with_the_command_that_corrects_it(
    wrong: dict[str, str], option: str, emulator: Emulator, credential: ClientSecretCredential
) -> None:
    connection = a_connection(credential, **wrong)
    error = error_of(connection)

    assert is_missing_workspace(error)
    assert f"`zenml step-operator update NAME --{option}=...`" in explained(connection, error)


def test_a_missing_job_is_no_missing_workspace(emulator: Emulator, credential: ClientSecretCredential) -> None:
    error = error_of(a_connection(credential))

    assert not is_missing_workspace(error)
    assert error_message(error) == "(UserError) Job job not found."


def test_an_answer_without_a_body_is_still_told(emulator: Emulator, credential: ClientSecretCredential) -> None:
    connection = a_connection(credential)
    with pytest.raises(AzureError) as raised:
        connection.client.compute.get("missing")

    assert error_message(raised.value)


def test_a_secret_that_is_refused_is_told_as_a_matter_of_credentials(emulator: Emulator) -> None:
    wrong = ClientSecretCredential(
        emulator.tenant_id,
        emulator.client_id,
        "guessed",
        authority=emulator.base_url,
        disable_instance_discovery=True,
    )
    connection = a_connection(wrong)

    told = explained(connection, error_of(connection))

    assert "AADSTS7000215" in told
    assert "Check the credentials" in told
    assert "guessed" not in told


def test_an_endpoint_that_nobody_serves_is_named(
    emulator: Emulator, credential: ClientSecretCredential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREML_DEV_URL_MFE", "https://127.0.0.1:1")
    connection = a_connection(credential)

    told = explained(connection, error_of(connection))

    assert "Azure could not be reached at https://127.0.0.1:1" in told
    assert "REQUESTS_CA_BUNDLE" in told
