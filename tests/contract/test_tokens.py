"""Signing in with the real azure-identity, and what Azure Resource Manager says to bad tokens."""

from __future__ import annotations

import jwt
import pytest
from azure.ai.ml import MLClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, DefaultAzureCredential, WorkloadIdentityCredential

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock

ARM_SCOPE = "https://management.azure.com/.default"


def secret_credential(
    emulator: Emulator, *, tenant: str | None = None, client: str | None = None, secret: str | None = None
) -> ClientSecretCredential:
    return ClientSecretCredential(
        tenant or emulator.tenant_id,
        client or emulator.client_id,
        secret or emulator.client_secret,
        authority=emulator.base_url,
        disable_instance_discovery=True,
    )


def workload_identity(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)
    monkeypatch.setenv("AZURE_TENANT_ID", emulator.tenant_id)
    monkeypatch.setenv("AZURE_CLIENT_ID", emulator.client_id)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(emulator.federated_token_file))
    for name in ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"):
        monkeypatch.delenv(name, raising=False)


def test_a_token_says_who_it_is_for_and_from(emulator: Emulator) -> None:
    token = secret_credential(emulator).get_token(ARM_SCOPE)

    claims = jwt.decode(token.token, options={"verify_signature": False})
    assert claims["aud"] == "https://management.azure.com"
    assert (claims["tid"], claims["appid"]) == (emulator.tenant_id, emulator.client_id)
    assert claims["iss"] == f"https://sts.windows.net/{emulator.tenant_id}/"
    assert claims["exp"] - claims["iat"] == 3600
    assert {"oid", "nbf", "sub", "uti", "ver"} <= set(claims)


def test_published_keys_verify_tokens(arm: Arm) -> None:
    (key,) = arm.call("GET", f"/{arm.emulator.tenant_id}/discovery/v2.0/keys").body["keys"]

    audience = "https://management.azure.com"
    assert jwt.decode(arm.token(), jwt.PyJWK(key, "RS256"), audience=audience)["tid"] == arm.emulator.tenant_id


@pytest.mark.parametrize("kind", ["secret", "default", "workload identity"])
def test_real_credentials_list_jobs(emulator: Emulator, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workload_identity(emulator, monkeypatch)
    credentials: dict[str, TokenCredential] = {
        "secret": secret_credential(emulator),
        "default": DefaultAzureCredential(),
        "workload identity": WorkloadIdentityCredential(),
    }
    workspace = emulator.context.store.workspaces[0]
    names = (workspace.subscription_id, workspace.resource_group, workspace.name)

    assert list(MLClient(credentials[kind], *names, cloud="AzureCloud").jobs.list()) == []


def test_what_was_configured_with_an_emulator_works_after_its_restart(emulator: Emulator) -> None:
    again = Emulator(emulator.context.folder)
    again.close()

    assert (again.tenant_id, again.client_id) == (emulator.tenant_id, emulator.client_id)
    assert again.client_secret == emulator.client_secret
    assert again.ca_file.read_bytes() == emulator.ca_file.read_bytes()


def test_another_emulators_assertion_is_refused(
    emulator: Emulator, slow: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload_identity(emulator, monkeypatch)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(slow.federated_token_file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.ca_file))

    with pytest.raises(ClientAuthenticationError, match="AADSTS70021"):
        WorkloadIdentityCredential().get_token(ARM_SCOPE)


@pytest.mark.parametrize(
    ("wrong", "code", "error"),
    [
        ({"secret": "guessed"}, 7000215, "Invalid client secret provided"),
        ({"client": "11111111-1111-1111-1111-111111111111"}, 700016, "was not found in the directory"),
    ],
)
def test_wrong_credentials_are_refused_in_microsofts_words(
    emulator: Emulator, wrong: dict[str, str], code: int, error: str
) -> None:
    with pytest.raises(ClientAuthenticationError, match=f"AADSTS{code}: .*{error}") as refused:
        secret_credential(emulator, **wrong).get_token(ARM_SCOPE)

    assert "guessed" not in str(refused.value)


def test_an_unknown_tenant_is_refused(emulator: Emulator) -> None:
    nowhere = "11111111-1111-1111-1111-111111111111"

    with pytest.raises((ClientAuthenticationError, ValueError)):
        secret_credential(emulator, tenant=nowhere).get_token(ARM_SCOPE)


def test_a_token_for_an_unknown_service_is_refused(emulator: Emulator) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS500011"):
        secret_credential(emulator).get_token("https://example.org/.default")


def test_a_refusal_has_entras_form(arm: Arm) -> None:
    answer = arm.call("POST", f"/{arm.emulator.tenant_id}/oauth2/v2.0/token")

    assert answer.status == 400
    assert set(answer.body) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    }


# Azure Resource Manager


@pytest.mark.parametrize(
    ("header", "code", "message"),
    [
        (None, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
        ("Basic abc", "InvalidAuthenticationToken", "The access token is invalid."),
        ("Bearer abc", "InvalidAuthenticationToken", "The access token is invalid."),
    ],
)
def test_no_valid_token_no_answer(arm: Arm, header: str | None, code: str, message: str) -> None:
    refused = arm.call("GET", "jobs", headers={"Authorization": header or ""})

    assert refused.status == 401
    assert refused.body == {"error": {"code": code, "message": message}}
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert refused.headers["x-ms-failure-cause"] == "gateway"


def test_run_history_refuses_a_request_without_a_token_in_its_own_words(arm: Arm) -> None:
    refused = arm.call("POST", f"/history/v1.0{arm.workspace}/rundata", {}, headers={"Authorization": ""})

    assert refused.status == 401
    assert refused.body["error"]["message"] == "Bearer token not provided."
    assert refused.body["componentName"] == "run-history"


def test_a_token_signed_by_somebody_else_is_invalid(arm: Arm, slow: Emulator) -> None:
    refused = arm.call("GET", "jobs", headers={"Authorization": f"Bearer {Arm(slow).token()}"})

    assert refused.body["error"]["code"] == "InvalidAuthenticationToken"


def test_a_token_for_another_service_is_refused(arm: Arm) -> None:
    token = arm.token(audience="https://storage.azure.com")

    refused = arm.call("GET", "jobs", headers={"Authorization": f"Bearer {token}"})

    assert (refused.status, refused.body["error"]["code"]) == (401, "InvalidAuthenticationTokenAudience")
    assert "'https://storage.azure.com'" in refused.body["error"]["message"]


def test_an_expired_token_is_refused_with_both_times(slow: Emulator, clock: ManualClock) -> None:
    arm = Arm(slow)
    bearer = {"Authorization": f"Bearer {arm.token(lifetime=60)}"}
    assert arm.call("GET", "jobs", headers=bearer).status == 200

    slow.run(clock.advance(61))
    refused = arm.call("GET", "jobs", headers=bearer)

    assert (refused.status, refused.body["error"]["code"]) == (401, "ExpiredAuthenticationToken")
    assert "is earlier than current UTC time" in refused.body["error"]["message"]


def test_how_long_tokens_live_is_a_setting(arm: Arm) -> None:
    arm.call("POST", "/_emulator/settings", {"token_lifetime": 120})

    token = secret_credential(arm.emulator).get_token(ARM_SCOPE).token

    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 120


def test_secrets_are_readable_by_their_owner_only(emulator: Emulator) -> None:
    folder = emulator.context.folder

    assert folder.stat().st_mode & 0o777 == 0o700
    names = ("ca.pem", "ca.key", "ca-bundle.pem", "token.key", "identity.json", "federated-token")
    further = ("keys.json", "curl.conf", ".gitignore", ".zenml-azureml-emulator")
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()}
    assert modes == dict.fromkeys((*names, *further), 0o600)
    assert emulator.client_secret not in repr(emulator.context)
