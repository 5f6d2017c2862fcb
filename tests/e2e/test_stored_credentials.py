"""Credentials that are changed where ZenML keeps them, while they are used: with a real ZenML, in this process."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, cast
from uuid import uuid4

import pytest
from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.stack import StackComponent

from tests.contract.arm import Arm
from tests.e2e.emulator_connector import ACCESS_TOKEN, CONNECTOR_TYPE, RESOURCE_TYPE, SERVICE_PRINCIPAL
from tests.e2e.requests_of import requests_of
from zenml_azureml.credentials import credential_of
from zenml_azureml.emulator import Emulator
from zenml_azureml.endpoint import CLOUDS, cloud_of
from zenml_azureml.step_operator import AzureMLStepOperator
from zenml_azureml.workspace.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.workspace.errors import explain
from zenml_azureml.workspace.sign_in import SignInError
from zenml_azureml.workspace.transport import WorkspaceTransport

STEP_OPERATOR = StackComponentType.STEP_OPERATOR


class Stored:
    """A step operator in ZenML's database, and the connection that a pipeline has with it.

    Attributes:
        name: The step operator's name.
    """

    def __init__(self, emulator: Emulator, **configuration: str) -> None:
        self.emulator = emulator
        self.arm = Arm(emulator)
        self.name = f"azureml-{uuid4().hex[:8]}"
        workspace = emulator.context.store.workspaces[0]
        self.address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name)
        address = {
            "subscription_id": workspace.subscription_id,
            "resource_group": workspace.resource_group,
            "workspace_name": workspace.name,
        }
        Client().create_stack_component(self.name, "azureml", STEP_OPERATOR, {**address, **configuration})

    def connect(self) -> WorkspaceConnection:
        """The connection of a step operator that is loaded now."""
        model = Client().get_stack_component(STEP_OPERATOR, self.name)
        operator = cast("AzureMLStepOperator", StackComponent.from_model(model))
        assert isinstance(operator, AzureMLStepOperator)
        transport = WorkspaceTransport(sleeper=lambda _seconds: None)
        return WorkspaceConnection(self.address, lambda: credential_of(operator, self.address.cloud), transport)

    def update(self, **configuration: str) -> None:
        """As `zenml step-operator update NAME --OPTION=...` does it."""
        Client().update_stack_component(self.name, STEP_OPERATOR, configuration=configuration)

    def use_connector(self, name: str) -> None:
        """As `zenml step-operator connect NAME --connector NAME` does it."""
        connector = Client().get_service_connector(name).id
        Client().update_stack_component(self.name, STEP_OPERATOR, connector_id=connector)

    def rotate_secret(self, old: str = "deleted") -> None:
        """Another secret, and no token so far is valid: so the old one is of no use any more."""
        self.arm.call("POST", "/_emulator/secret/rotate", {"old": old})
        self.revoke_tokens()

    def revoke_tokens(self) -> None:
        self.arm.call("POST", "/_emulator/tokens/revoke", {"answer": "none"})

    def token_requests(self) -> int:
        return len([entry for entry in requests_of(self.emulator) if entry["path"].endswith("/oauth2/v2.0/token")])


def works(connection: WorkspaceConnection) -> bool:
    return list(connection.client.jobs.list()) == []


def refusal_of(connection: WorkspaceConnection) -> SignInError:
    with pytest.raises(SignInError) as refused:
        works(connection)
    return refused.value


def told(error: SignInError, stored: Stored) -> str:
    return str(explain("watching the job `job`", error, stored.address))


def principal_of(emulator: Emulator) -> dict[str, str]:
    return {
        "tenant_id": emulator.tenant_id,
        "service_principal_id": emulator.client_id,
        "service_principal_password": emulator.client_secret,
    }


@pytest.fixture(autouse=True)
def _signs_in_at(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)


# Service principals


def test_a_secret_that_was_updated_in_the_configuration_is_read_again(emulator: Emulator) -> None:
    stored = Stored(emulator, **principal_of(emulator))
    connection = stored.connect()
    assert works(connection)

    stored.rotate_secret()
    stored.update(service_principal_password=emulator.client_secret)

    assert works(connection)


def test_a_secret_that_was_updated_before_the_first_use_is_read_again(emulator: Emulator) -> None:
    stored = Stored(emulator, **principal_of(emulator))
    connection = stored.connect()

    stored.rotate_secret()
    stored.update(service_principal_password=emulator.client_secret)

    assert works(connection)


def test_a_secret_of_zenml_that_was_updated_is_read_again(emulator: Emulator) -> None:
    secret = f"azure-{uuid4().hex[:8]}"
    Client().create_secret(secret, {"password": emulator.client_secret})
    reference = {**principal_of(emulator), "service_principal_password": f"{{{{{secret}.password}}}}"}
    stored = Stored(emulator, **reference)
    connection = stored.connect()
    assert works(connection)

    stored.rotate_secret("expired")
    text = told(refusal_of(stored.connect()), stored)
    assert f"store it: `zenml secret update {secret} --password=...`" in text
    Client().update_secret(secret, add_or_update_values={"password": emulator.client_secret})

    assert works(connection)


@pytest.mark.parametrize(("old", "code"), [("deleted", "AADSTS7000215"), ("expired", "AADSTS7000222")])
def test_a_principal_whose_secret_is_not_to_be_had_is_named_with_what_to_do(
    old: str, code: str, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = emulator.client_secret
    stored = Stored(emulator, **principal_of(emulator))
    connection = stored.connect()
    assert works(connection)
    stored.rotate_secret(old)

    error = refusal_of(connection)

    text = told(error, stored)
    assert (
        f"the service principal `{emulator.client_id}` of tenant `{emulator.tenant_id}` (in the configuration of the "
        f"step operator `{stored.name}`) could not sign in.\nAzure says: {code}: "
    ) in text
    assert f"`az ad app credential reset --id {emulator.client_id} --append`" in text
    assert f"store it: `zenml step-operator update {stored.name} --service_principal_password=...`" in text
    everything = "\n".join([text, str(error), repr(error), caplog.text])
    assert [known for known in (secret, emulator.client_secret) if known in everything] == []


def test_a_principal_that_never_worked_is_not_tried_twice(emulator: Emulator) -> None:
    stored = Stored(emulator, **{**principal_of(emulator), "service_principal_password": "guessed"})

    assert "AADSTS7000215" in str(refusal_of(stored.connect()))

    assert stored.token_requests() == 1


def test_a_credential_is_renewed_from_what_is_known_while_zenml_does_not_answer(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored = Stored(emulator, **principal_of(emulator))
    connection = stored.connect()
    assert works(connection)
    stored.revoke_tokens()
    Client().delete_stack_component(stored.name, STEP_OPERATOR)

    assert works(connection)
    assert f"ZenML did not tell how the step operator `{stored.name}` is configured by now (KeyError)." in caplog.text


# Service connectors


def create_connector(emulator: Emulator, **changes: Any) -> str:
    """A service connector with the emulator's service principal, unless another method is asked for."""
    name = f"connector-{uuid4().hex[:8]}"
    options = {"auth_method": SERVICE_PRINCIPAL, "configuration": connector_configuration(emulator), **changes}
    Client().create_service_connector(
        name, CONNECTOR_TYPE, RESOURCE_TYPE, verify=False, list_resources=False, **options
    )
    return name


def connector_configuration(emulator: Emulator) -> dict[str, str]:
    return {
        "authority": emulator.base_url,
        "tenant_id": emulator.tenant_id,
        "client_id": emulator.client_id,
        "client_secret": emulator.client_secret,
    }


def token_connector(emulator: Emulator, lifetime: timedelta) -> str:
    expires_at = datetime.now(timezone.utc) + lifetime
    configuration = {"token": a_token(emulator)}
    return create_connector(emulator, auth_method=ACCESS_TOKEN, configuration=configuration, expires_at=expires_at)


def a_token(emulator: Emulator) -> str:
    return Arm(emulator).token()


def test_a_connector_whose_secret_was_updated_is_connected_again(emulator: Emulator) -> None:
    connector, stored = create_connector(emulator), Stored(emulator)
    stored.use_connector(connector)
    connection = stored.connect()
    assert works(connection)

    stored.rotate_secret()
    Client().update_service_connector(
        connector, configuration=connector_configuration(emulator), verify=False, list_resources=False
    )

    assert works(connection)


def test_a_connector_whose_token_has_expired_is_connected_again(emulator: Emulator) -> None:
    connector, stored = token_connector(emulator, timedelta(minutes=10)), Stored(emulator)
    stored.use_connector(connector)
    connection = stored.connect()
    assert works(connection)

    stored.revoke_tokens()
    Client().update_service_connector(
        connector,
        configuration={"token": a_token(emulator)},
        expires_at=datetime.now(timezone.utc) + timedelta(hours=1),
        verify=False,
        list_resources=False,
    )

    assert works(connection)


def test_a_connector_that_has_expired_for_good_is_named_with_what_to_do(emulator: Emulator) -> None:
    connector, stored = token_connector(emulator, timedelta(seconds=-1)), Stored(emulator)
    stored.use_connector(connector)

    text = told(refusal_of(stored.connect()), stored)

    assert f"the service connector `{connector}` of the step operator `{stored.name}` could not sign in: " in text
    assert "have expired" in text
    assert f"`zenml service-connector verify {connector}`" in text
    assert f"`zenml service-connector update {connector} --interactive`" in text


def test_a_connector_in_the_place_of_one_that_is_refused_counts(emulator: Emulator) -> None:
    stored = Stored(emulator, **principal_of(emulator))
    connection = stored.connect()
    assert works(connection)

    stored.rotate_secret()
    stored.use_connector(create_connector(emulator))

    assert works(connection)


# The environment


@pytest.fixture
def workload(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Workload identity: its token file, and a way to write something else into that."""
    monkeypatch.setenv("AZURE_TENANT_ID", emulator.tenant_id)
    monkeypatch.setenv("AZURE_CLIENT_ID", emulator.client_id)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(emulator.federated_token_file))
    monkeypatch.delenv("AZURE_CLIENT_SECRET", raising=False)
    return lambda text: cast("None", emulator.federated_token_file.write_text(text))


def test_what_the_environment_offers_is_tried_again_from_the_start(
    emulator: Emulator, workload: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = Stored(emulator)
    connection = stored.connect()
    assert works(connection)

    # What signed in first is of no use any more; somebody has logged in otherwise meanwhile.
    stored.revoke_tokens()
    workload("not an assertion")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", emulator.client_secret)

    assert works(connection)


def test_an_environment_that_offers_nothing_any_more_tells_who_had_signed_in(
    emulator: Emulator, workload: Callable[[str], None]
) -> None:
    stored = Stored(emulator)
    connection = stored.connect()
    assert works(connection)
    stored.revoke_tokens()
    workload("not an assertion")

    text = told(refusal_of(connection), stored)

    who = f"the application `{emulator.client_id}` of tenant `{emulator.tenant_id}`"
    assert f"what the environment offers (DefaultAzureCredential, last signed in as {who}) could not sign in.\n" in text
    assert "EnvironmentCredential: EnvironmentCredential authentication unavailable. Environment variables" in text
    assert "WorkloadIdentityCredential: Microsoft Entra ID error '(invalid_request) AADSTS70021: No matching" in text
    assert not re.search("trace.id|correlation.id|troubleshoot", text, re.IGNORECASE)
    assert "What to do: See to the environment of this process: the variables AZURE_CLIENT_ID, " in text
    assert f"`az login --tenant {emulator.tenant_id}`" in text
    assert f"`zenml step-operator connect {stored.name} --connector NAME`" in text


def test_making_a_credential_asks_nobody(emulator: Emulator) -> None:
    stored = Stored(emulator, **principal_of(emulator))

    stored.connect()

    assert stored.token_requests() == 0
    assert cloud_of(None, None).name in CLOUDS
