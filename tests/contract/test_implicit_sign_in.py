"""Signing in with what the environment offers: the real azure-identity, with no credential in anybody's hands."""

from __future__ import annotations

import os
from typing import get_args

import jwt
import pytest
from azure.ai.ml import MLClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential, EnvironmentCredential, ManagedIdentityCredential

from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.auth.identity import credential_for
from zenml_azureml.clouds import cloud_of
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.local import shell_env
from zenml_azureml.emulator.local.instance import Options, Running

ARM_SCOPE = "https://management.azure.com/.default"

#: Where each way to sign in gets its tokens.
PATHS: dict[shell_env.SignIn, str] = {
    "workload-identity": "/{tenant}/oauth2/v2.0/token",
    "client-secret": "/{tenant}/oauth2/v2.0/token",
    "managed-identity": "/msi/token",
}


def running(emulator: Emulator) -> Running:
    """An emulator of this process, as one in a process of its own describes itself."""
    return Running(
        state=emulator.context.folder,
        pid=os.getpid(),
        base_url=emulator.base_url,
        proxy_url=emulator.proxy_url,
        started_at="",
        ca_file=emulator.ca_file,
        ca_bundle=emulator.ca_bundle,
        tenant_id=emulator.tenant_id,
        client_id=emulator.client_id,
        federated_token_file=emulator.federated_token_file,
        options=Options(),
        local_url=emulator.local_url,
    )


def set_up(emulator: Emulator, sign_in: shell_env.SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `zenml-azureml emulator env --sign-in ...` does to a shell."""
    values = shell_env.variables(running(emulator), emulator.ca_bundle, os.environ, sign_in)
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def check(emulator: Emulator, sign_in: shell_env.SignIn, credential: TokenCredential) -> None:
    workspace = emulator.context.store.workspaces[0]
    names = (workspace.subscription_id, workspace.resource_group, workspace.name)
    assert list(MLClient(credential, *names, cloud="AzureCloud").jobs.list()) == []
    asked = [request["path"] for request in requests_of(emulator)]
    assert PATHS[sign_in].format(tenant=emulator.tenant_id) in asked


@pytest.mark.parametrize("sign_in", PATHS)
def test_a_script_that_knows_nothing_of_the_emulator_signs_in_behind_the_proxy(
    proxied: Emulator, sign_in: shell_env.SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(proxied, sign_in, monkeypatch)

    check(proxied, sign_in, DefaultAzureCredential())


@pytest.mark.parametrize("sign_in", PATHS)
def test_the_step_operators_credential_signs_in_without_the_proxy_too(
    emulator: Emulator, sign_in: shell_env.SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(emulator, sign_in, monkeypatch)

    check(emulator, sign_in, credential_for(None, cloud_of(None, None)))


def test_a_secret_in_the_environment_needs_the_proxy_in_other_scripts(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """azure-identity asks Microsoft whether it vouches for the authority: here nobody is asked."""
    set_up(emulator, "client-secret", monkeypatch)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with pytest.raises(ClientAuthenticationError):
        EnvironmentCredential().get_token(ARM_SCOPE)


def test_the_ways_that_need_a_login_first_have_a_place_of_their_own_for_it(emulator: Emulator) -> None:
    (by_hand,) = set(get_args(shell_env.SignIn)) - PATHS.keys()

    variables = shell_env.variables(running(emulator), emulator.ca_bundle, {}, by_hand)

    assert variables["AZURE_CONFIG_DIR"] == str(emulator.context.folder / "azure-cli")
    assert "AZURE_CLIENT_ID" not in variables


# Managed identity, as the different machines of Azure offer it


@pytest.fixture(params=["App Service", "Azure ML", "virtual machine"])
def machine(request: pytest.FixtureRequest, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine with a managed identity: what it sets for its programs."""
    endpoint, secret = f"{emulator.base_url}/msi/token", emulator.context.keys.machine
    variables = {
        "App Service": {"IDENTITY_ENDPOINT": endpoint, "IDENTITY_HEADER": secret},
        "Azure ML": {"MSI_ENDPOINT": endpoint, "MSI_SECRET": secret},
        # The real one is at a link-local address, where nothing of ours can be; and it has no header for a secret.
        "virtual machine": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"{emulator.base_url}/imds/{secret}"},
    }
    for name, value in variables[request.param].items():
        monkeypatch.setenv(name, value)
    return str(request.param)


@pytest.mark.parametrize("assigned_by", ["the system", "the user"])
@pytest.mark.usefixtures("machine")
def test_a_machines_identity_gets_tokens(emulator: Emulator, assigned_by: str) -> None:
    client_id = emulator.client_id if assigned_by == "the user" else None

    token = ManagedIdentityCredential(client_id=client_id).get_token(ARM_SCOPE)

    claims = jwt.decode(token.token, options={"verify_signature": False})
    assert (claims["aud"], claims["appid"]) == ("https://management.azure.com", emulator.client_id)
    assert abs(token.expires_on - claims["exp"]) < 5


@pytest.mark.usefixtures("machine")
def test_an_identity_that_the_machine_does_not_have_is_refused() -> None:
    credential = ManagedIdentityCredential(client_id="11111111-1111-1111-1111-111111111111")

    with pytest.raises(ClientAuthenticationError, match=r"No User Assigned|Identity not found"):
        credential.get_token(ARM_SCOPE)


@pytest.mark.usefixtures("machine")
def test_a_token_for_a_service_that_there_is_not_is_refused() -> None:
    sent: list[int] = []
    credential = ManagedIdentityCredential(
        raw_response_hook=lambda answer: sent.append(answer.http_response.status_code)
    )

    with pytest.raises(
        ClientAuthenticationError, match=r"The resource principal named https://example\.org was not found"
    ):
        credential.get_token("https://example.org/.default")
    assert sent == [400]  # and not asked again, as after a 500


def test_who_does_not_run_on_the_machine_gets_none(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{emulator.base_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")

    with pytest.raises(ClientAuthenticationError, match="X-IDENTITY-HEADER"):
        ManagedIdentityCredential().get_token(ARM_SCOPE)
