"""ZenML's own Azure service connectors, which are changed or expire while they are used."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from zenml.client import Client
from zenml.service_connectors import service_connector

from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from tests.e2e.stored_operator import StoredOperator, principal_of, refusal_of, told, works
from zenml_azureml.emulator import Emulator

pytest.importorskip("azure.mgmt.resource", reason="what ZenML's connector imports")


def create_connector(proxied: Emulator, **changes: Any) -> str:
    """A service connector with the emulator's service principal, unless another method is asked for."""
    name = f"connector-{uuid4().hex[:8]}"
    options = {"auth_method": "service-principal", "configuration": connector_configuration(proxied), **changes}
    Client().create_service_connector(name, "azure", "azure-generic", verify=False, list_resources=False, **options)
    return name


def connector_configuration(proxied: Emulator) -> dict[str, str]:
    return {
        "tenant_id": proxied.tenant_id,
        "client_id": proxied.client_id,
        "client_secret": proxied.client_secret,
    }


def token_connector(proxied: Emulator, lifetime: timedelta) -> str:
    expires_at = datetime.now(timezone.utc) + lifetime
    configuration = {"token": a_token(proxied)}
    return create_connector(proxied, auth_method="access-token", configuration=configuration, expires_at=expires_at)


def a_token(proxied: Emulator) -> str:
    return Arm(proxied).token()


@pytest.mark.long
def test_a_connector_whose_secret_was_updated_is_connected_again(proxied: Emulator) -> None:
    connector, stored = create_connector(proxied), StoredOperator(proxied)
    stored.use_connector(connector)
    connection = stored.connect()
    assert works(connection)

    stored.rotate_secret()
    Client().update_service_connector(
        connector, configuration=connector_configuration(proxied), verify=False, list_resources=False
    )

    assert works(connection)


def update_token(proxied: Emulator, connector: str) -> None:
    Client().update_service_connector(
        connector,
        configuration={"token": a_token(proxied)},
        expires_at=datetime.now(timezone.utc) + timedelta(days=1),
        verify=False,
        list_resources=False,
    )


def test_a_connector_whose_token_is_refused_is_connected_again(proxied: Emulator) -> None:
    connector, stored = token_connector(proxied, timedelta(hours=1)), StoredOperator(proxied)
    stored.use_connector(connector)
    connection = stored.connect()
    assert works(connection)

    stored.revoke_tokens()
    update_token(proxied, connector)

    assert works(connection)


def test_a_connector_that_has_expired_is_connected_again(proxied: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    connector, stored = token_connector(proxied, timedelta(hours=1)), StoredOperator(proxied)
    stored.use_connector(connector)
    connection = stored.connect()
    assert works(connection)

    stored.revoke_tokens()  # which is not what tells that it has expired: nothing is refused
    update_token(proxied, connector)
    later = datetime.now(timezone.utc) + timedelta(hours=2)
    monkeypatch.setattr(time, "time", later.timestamp)
    monkeypatch.setattr(service_connector, "utc_now", lambda **_options: later)

    assert works(connection)
    assert [request["status"] for request in requests_of(proxied) if request["path"].endswith("/jobs")] == [200, 200]


def test_a_connector_that_cannot_be_renewed_is_told_while_the_job_goes_on(proxied: Emulator) -> None:
    secret, connector, stored = proxied.client_secret, create_connector(proxied), StoredOperator(proxied)
    stored.use_connector(connector)
    connection = stored.connect()
    assert works(connection)
    stored.rotate_secret()

    text = told(refusal_of(connection), stored)

    assert f"the service connector `{connector}` of the step operator `{stored.name}` could not sign in" in text
    assert "AADSTS7000215" in text
    assert secret not in text


def test_a_connector_that_has_expired_for_good_is_named_with_what_to_do(proxied: Emulator) -> None:
    connector, stored = token_connector(proxied, timedelta(seconds=-1)), StoredOperator(proxied)
    stored.use_connector(connector)

    text = told(refusal_of(stored.connect()), stored)

    assert f"the service connector `{connector}` of the step operator `{stored.name}` could not sign in: " in text
    assert "have expired" in text
    assert f"`zenml service-connector verify {connector}`" in text
    assert f"`zenml service-connector update {connector} --interactive`" in text


def test_a_connector_in_the_place_of_one_that_is_refused_counts(proxied: Emulator) -> None:
    stored = StoredOperator(proxied, **principal_of(proxied))
    connection = stored.connect()
    assert works(connection)

    stored.rotate_secret()
    stored.use_connector(create_connector(proxied))

    assert works(connection)
