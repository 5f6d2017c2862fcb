"""Which environment variables are secret."""

from __future__ import annotations

import pytest

from zenml_azureml.secrets.classification import certain_secrets, secret_names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ZENML_STORE_API_TOKEN", "eyJhbGciOiJIUzI1NiJ9.e30.x"),
        ("ZENML_STORE_API_KEY", "ZENKEY_abc"),
        ("ZENML_SECRETS_STORE_ENCRYPTION_KEY", "0123456789abcdef"),
        ("ZENML_SECRETS_STORE_AUTH_CONFIG", "{}"),
        ("ZENML_BACKUP_SECRETS_STORE_AWS_SECRET_ACCESS_KEY", "plain"),
        ("DATABASE_PASSWORD", "swordfish"),
        ("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=x"),
        ("ZENML_STORE_URL", "mysql://user:secret@host/zenml"),
    ],
)
def test_secrets_are_known_by_their_names_and_shapes(name: str, value: str) -> None:
    assert certain_secrets({name: value}) == secret_names({name: value}) == {name}


@pytest.mark.parametrize(
    ("name", "value"),
    [("ANYTHING", "sk-12345-AbCdEf"), ("JSON", '{"a": 1}')],
)
def test_what_is_not_sure_to_be_harmless_may_be_one(name: str, value: str) -> None:
    assert secret_names({name: value}) == {name}
    assert certain_secrets({name: value}) == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ZENML_STORE_URL", "https://zenml.example"),
        ("ZENML_SECRETS_STORE_TYPE", "sql"),
        ("ZENML_STORE_AUTH_MODE", "none"),
        ("ZENML_ACTIVE_STACK_ID", "0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"),
        ("AZURE_CLIENT_ID", "0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11"),
        ("EPOCHS", "3"),
        ("PYTHONPATH", "/app/code"),
    ],
)
def test_what_is_harmless_stays_where_people_can_see_it(name: str, value: str) -> None:
    assert secret_names({name: value}) == set()
