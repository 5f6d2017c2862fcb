"""Which credential signs in: the service connector's, then the service principal's, then the environment's."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from azure.core.credentials import AccessToken
from zenml.enums import StackComponentType

from tests.e2e.requests_of import requests_of
from zenml_azureml import AzureMLStepOperator, AzureMLStepOperatorConfig
from zenml_azureml.azure.auth.errors import SourceError
from zenml_azureml.clouds import cloud_of
from zenml_azureml.emulator import Emulator
from zenml_azureml.plugin.credentials import credential_of

SCOPE = "https://management.azure.com/.default"

#: How an application has signed in, in the claim `appidacr` of its tokens.
SECRET, ASSERTION = "1", "2"


class Connector:
    """A service connector of ZenML, as far as a step operator sees it: each login gives a new credential."""

    def __init__(self, refusal: str = "") -> None:
        self.logins = 0
        self.refusal = refusal

    def connect(self) -> Connector:
        if self.refusal:
            raise RuntimeError(self.refusal)
        self.logins += 1
        return self

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(f"{scopes[0]} of login {self.logins}", 0)


class ConnectedOperator(AzureMLStepOperator):
    """A step operator, with ZenML's server left out of its questions about its connector."""

    linked: Connector | None
    expired = False

    def get_connector(self) -> Any:
        return self.linked

    def connector_has_expired(self) -> bool:
        return self.expired


def an_operator(connector: Connector | None = None, /, **configuration: str) -> ConnectedOperator:
    now = datetime.now(timezone.utc)
    address = {"subscription_id": "s", "resource_group": "r", "workspace_name": "w"}
    connector_id: UUID | None = uuid4() if connector else None
    operator = ConnectedOperator(
        name="azure",
        id=uuid4(),
        config=AzureMLStepOperatorConfig(**address, **configuration),
        flavor="azureml",
        type=StackComponentType.STEP_OPERATOR,
        user=None,
        created=now,
        updated=now,
        connector=connector_id,
    )
    operator.linked = connector
    return operator


def method_of(token: AccessToken) -> str:
    claims: dict[str, str] = jwt.decode(token.token, options={"verify_signature": False})
    return claims["appidacr"]


def principal_of(emulator: Emulator) -> dict[str, str]:
    return {
        "tenant_id": emulator.tenant_id,
        "service_principal_id": emulator.client_id,
        "service_principal_password": emulator.client_secret,
    }


def test_a_service_connector_wins_over_a_service_principal(emulator: Emulator) -> None:
    operator = an_operator(Connector(), **principal_of(emulator))

    token = credential_of(operator, cloud_of(None, None)).get_token(SCOPE)

    assert token.token == f"{SCOPE} of login 1"


def test_a_connector_logs_in_once_and_again_when_it_has_expired() -> None:
    operator = an_operator(Connector())
    credential = credential_of(operator, cloud_of(None, None))

    first = [credential.get_token(SCOPE).token for _ in range(2)]
    operator.expired = True
    later = credential.get_token(SCOPE).token

    assert first == [f"{SCOPE} of login 1"] * 2
    assert later == f"{SCOPE} of login 2"


def test_a_connector_that_was_removed_is_told_with_the_command_that_connects_one() -> None:
    operator = an_operator(Connector())
    credential = credential_of(operator, cloud_of(None, None))
    operator.linked = None

    with pytest.raises(SourceError, match="it is gone") as gone:
        credential.get_token(SCOPE)

    assert "zenml step-operator connect azure --connector NAME" in gone.value.hint


def test_a_connector_that_cannot_log_in_is_told_with_its_reason() -> None:
    credential = credential_of(an_operator(Connector(refusal="the secret has expired")), cloud_of(None, None))

    with pytest.raises(SourceError, match="the secret has expired"):
        credential.get_token(SCOPE)


def test_a_service_principal_signs_in_at_the_authority_of_the_environment(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)
    credential = credential_of(an_operator(**principal_of(emulator)), cloud_of(None, None))

    assert method_of(credential.get_token(SCOPE)) == SECRET
    assert any(r["path"].endswith("/oauth2/v2.0/token") for r in requests_of(emulator))


def test_half_a_service_principal_is_left_for_the_environment(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)
    monkeypatch.setenv("AZURE_TENANT_ID", emulator.tenant_id)
    monkeypatch.setenv("AZURE_CLIENT_ID", emulator.client_id)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(emulator.federated_token_file))

    credential = credential_of(an_operator(tenant_id=emulator.tenant_id), cloud_of(None, None))

    assert method_of(credential.get_token(SCOPE)) == ASSERTION


def test_making_a_credential_asks_nobody(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)

    credential_of(an_operator(**principal_of(emulator)), cloud_of(None, None))

    assert requests_of(emulator) == []
