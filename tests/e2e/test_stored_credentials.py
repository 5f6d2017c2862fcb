"""Credentials that are changed where ZenML keeps them, while they are used: with a real ZenML, in this process."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import cast
from uuid import uuid4

import pytest
from zenml.client import Client

from tests.e2e.stored_operator import STEP_OPERATOR, StoredOperator, principal_of, refusal_of, told, works
from zenml_azureml.emulator import Emulator


@pytest.fixture(autouse=True)
def _signs_in_at(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)


# Service principals


def test_a_secret_that_was_updated_in_the_configuration_is_read_again(emulator: Emulator) -> None:
    stored = StoredOperator(emulator, **principal_of(emulator))
    connection = stored.connect()
    assert works(connection)

    stored.rotate_secret()
    stored.update(service_principal_password=emulator.client_secret)

    assert works(connection)


def test_a_secret_that_was_updated_before_the_first_use_is_read_again(emulator: Emulator) -> None:
    stored = StoredOperator(emulator, **principal_of(emulator))
    connection = stored.connect()

    stored.rotate_secret()
    stored.update(service_principal_password=emulator.client_secret)

    assert works(connection)


def test_a_secret_of_zenml_that_was_updated_is_read_again(emulator: Emulator) -> None:
    secret = f"azure-{uuid4().hex[:8]}"
    Client().create_secret(secret, {"password": emulator.client_secret})
    reference = {**principal_of(emulator), "service_principal_password": f"{{{{{secret}.password}}}}"}
    stored = StoredOperator(emulator, **reference)
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
    stored = StoredOperator(emulator, **principal_of(emulator))
    connection = stored.connect()
    assert works(connection)
    stored.rotate_secret(old)

    error = refusal_of(connection)

    text = told(error, stored)
    assert (
        f"the service principal `{emulator.client_id}` of tenant `{emulator.tenant_id}` (in the configuration of the "
        f"step operator `{stored.name}`) could not sign in.\nAzure: {code}: "
    ) in text
    assert f"`az ad app credential reset --id {emulator.client_id} --append`" in text
    assert f"store it: `zenml step-operator update {stored.name} --service_principal_password=...`" in text
    everything = "\n".join([text, str(error), repr(error), caplog.text])
    assert [known for known in (secret, emulator.client_secret) if known in everything] == []


def test_a_principal_that_never_worked_is_not_tried_twice(emulator: Emulator) -> None:
    stored = StoredOperator(emulator, **{**principal_of(emulator), "service_principal_password": "guessed"})

    assert "AADSTS7000215" in str(refusal_of(stored.connect()))

    assert stored.token_requests() == 1


def test_a_credential_is_renewed_from_what_is_known_while_zenml_does_not_answer(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored = StoredOperator(emulator, **principal_of(emulator))
    connection = stored.connect()
    assert works(connection)
    stored.revoke_tokens()
    Client().delete_stack_component(stored.name, STEP_OPERATOR)

    assert works(connection)
    assert f"ZenML did not tell how the step operator `{stored.name}` is configured by now (KeyError)." in caplog.text


def test_making_a_credential_asks_nobody(emulator: Emulator) -> None:
    stored = StoredOperator(emulator, **principal_of(emulator))

    stored.connect()

    assert stored.token_requests() == 0


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
    stored = StoredOperator(emulator)
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
    stored = StoredOperator(emulator)
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
    assert "Next steps: See to the environment of this process: the variables AZURE_CLIENT_ID, " in text
    assert f"`az login --tenant {emulator.tenant_id}`" in text
    assert f"`zenml step-operator connect {stored.name} --connector NAME`" in text
