"""Key vaults: Microsoft's own client of their secrets, and what it is refused."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ClientSecretCredential, ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from tests.contract.arm import Arm
from tests.machine_identity import running_job
from tests.vault_access import grant, own_vault
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.entra.machine_identities import identities_of
from zenml_azureml.emulator.services.keyvault.routes import MOST_CHARACTERS

VAULTS = "2023-07-01"
CLUSTER = {
    "location": "westeurope",
    "identity": {"type": "SystemAssigned"},
    "properties": {
        "computeType": "AmlCompute",
        "properties": {"vmSize": "STANDARD_DS3_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1}},
    },
}


@pytest.fixture
def secrets(emulator: Emulator, credential: ClientSecretCredential) -> SecretClient:
    """The real client of the workspace's vault, where the vault's address is."""
    # Its check that a vault is below the cloud's own domain is for Azure's addresses: see the test of the proxy.
    return SecretClient(own_vault(emulator).address, credential, verify_challenge_resource=False, retry_total=0)


def test_resource_manager_tells_where_the_workspaces_vault_is(arm: Arm) -> None:
    workspace = arm.call("GET", arm.workspace).body
    found = arm.call("GET", workspace["properties"]["keyVault"], api_version=VAULTS)

    assert found.status == 200
    assert found.body["properties"]["vaultUri"] == f"{own_vault(arm.emulator).address}/"
    assert found.body["properties"]["enableRbacAuthorization"] is True
    listed = arm.call("GET", f"/subscriptions/{arm.workspace.split('/')[2]}/providers/Microsoft.KeyVault/vaults")
    assert [vault["id"] for vault in listed.body["value"]] == [found.body["id"]]


def test_owning_the_subscription_gives_no_right_to_a_secret(secrets: SecretClient, emulator: Emulator) -> None:
    with pytest.raises(HttpResponseError) as refused:
        secrets.set_secret("mine", "hush")

    assert refused.value.status_code == 403
    assert "(Forbidden) Caller is not authorized to perform action on resource." in str(refused.value)
    assert "Microsoft.KeyVault/vaults/secrets/setSecret/action" in str(refused.value)
    assert emulator.context.identity.object_id in str(refused.value)
    assert "ForbiddenByRbac" in refused.value.response.text()  # type: ignore[union-attr]


def test_a_secret_is_written_read_listed_deleted_and_recovered(secrets: SecretClient, emulator: Emulator) -> None:
    grant(emulator, "Key Vault Secrets Officer")
    expiry = datetime(2031, 1, 1, tzinfo=timezone.utc)

    first = secrets.set_secret("mine", "hush", tags={"a": "b"}, content_type="application/json", expires_on=expiry)
    second = secrets.set_secret("mine", "hush hush")

    assert secrets.get_secret("mine").value == "hush hush"
    old = secrets.get_secret("mine", first.properties.version)
    assert (old.value, old.properties.tags, old.properties.expires_on) == ("hush", {"a": "b"}, expiry)
    assert (old.properties.content_type, old.properties.vault_url) == ("application/json", own_vault(emulator).address)
    assert [found.name for found in secrets.list_properties_of_secrets()] == ["mine"]
    versions = {found.version for found in secrets.list_properties_of_secret_versions("mine")}
    assert versions == {first.properties.version, second.properties.version}

    deleted = secrets.begin_delete_secret("mine").result()

    assert deleted.name == "mine"
    with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
        secrets.get_secret("mine")
    with pytest.raises(ResourceExistsError, match="currently in a deleted but recoverable state"):
        secrets.set_secret("mine", "again")
    assert [found.name for found in secrets.list_deleted_secrets()] == ["mine"]
    secrets.begin_recover_deleted_secret("mine").wait()
    assert secrets.get_secret("mine").value == "hush hush"
    secrets.begin_delete_secret("mine").wait()
    secrets.purge_deleted_secret("mine")
    assert list(secrets.list_deleted_secrets()) == []


def test_a_long_list_comes_in_pages_and_without_values(secrets: SecretClient, emulator: Emulator) -> None:
    grant(emulator, "Key Vault Secrets Officer")
    for number in range(30):
        secrets.set_secret(f"secret-{number:02}", "hush")

    assert [found.name for found in secrets.list_properties_of_secrets()] == [f"secret-{n:02}" for n in range(30)]


@pytest.mark.parametrize(("name", "value"), [("not_a_name", "hush"), ("long", "x" * (MOST_CHARACTERS + 1))])
def test_what_the_service_does_not_take_is_refused(
    name: str, value: str, secrets: SecretClient, emulator: Emulator
) -> None:
    grant(emulator, "Key Vault Secrets Officer")

    with pytest.raises(HttpResponseError, match="BadParameter"):
        secrets.set_secret(name, value)


def test_who_may_only_read_may_not_write(secrets: SecretClient, emulator: Emulator) -> None:
    grant(emulator, "Key Vault Secrets User")

    with pytest.raises(ResourceNotFoundError):
        secrets.get_secret("missing")
    with pytest.raises(HttpResponseError, match="setSecret"):
        secrets.set_secret("mine", "hush")


def test_access_policies_count_where_roles_do_not(arm: Arm, secrets: SecretClient) -> None:
    grant(arm.emulator, "Key Vault Secrets Officer")
    policy = {"objectId": arm.emulator.context.identity.object_id, "permissions": {"secrets": ["get", "set"]}}
    changes = {"properties": {"enableRbacAuthorization": False, "accessPolicies": [policy]}}
    assert arm.call("PATCH", own_vault(arm.emulator).path, changes, api_version=VAULTS).status == 200

    secrets.set_secret("mine", "hush")

    assert secrets.get_secret("mine").value == "hush"
    with pytest.raises(HttpResponseError, match="does not have secrets delete permission on key vault"):
        secrets.begin_delete_secret("mine")


def test_a_token_for_another_service_is_not_taken(arm: Arm) -> None:
    url = f"{own_vault(arm.emulator).address}/secrets/mine"

    for headers in ({"Authorization": ""}, {}):
        answer = arm.call("GET", url, api_version="7.4", headers=headers)
        assert (answer.status, answer.body["error"]["code"]) == (401, "Unauthorized")
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith('Bearer authorization="https://login.microsoftonline.com/')
        assert 'resource="https://vault.azure.net"' in challenge


def test_behind_the_proxy_a_vault_is_at_its_own_host(proxied: Emulator) -> None:
    grant(proxied, "Key Vault Secrets Officer")
    credential = ClientSecretCredential(proxied.tenant_id, proxied.client_id, proxied.client_secret)

    with SecretClient(f"https://{own_vault(proxied).name}.vault.azure.net", credential) as client:
        client.set_secret("mine", "hush")
        assert client.get_secret("mine").value == "hush"
    with (
        SecretClient("https://nobodys.vault.azure.net", credential) as client,
        pytest.raises(HttpResponseError, match="The vault 'nobodys' was not found"),
    ):
        client.get_secret("mine")


def test_a_clusters_identity_reads_what_it_may(
    arm: Arm, secrets: SecretClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm.call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
    body = arm.call("GET", "computes/gpus", api_version="2024-04-01").body
    principal = body["identity"]["principalId"]
    monkeypatch.setenv("MSI_ENDPOINT", f"{arm.emulator.base_url}/msi/token")
    monkeypatch.setenv("MSI_SECRET", running_job(arm, "gpus").machine_secret)
    monkeypatch.delenv("IDENTITY_ENDPOINT", raising=False)
    grant(arm.emulator, "Key Vault Secrets Officer")
    secrets.set_secret("mine", "hush")

    in_job = SecretClient(own_vault(arm.emulator).address, ManagedIdentityCredential(), verify_challenge_resource=False)
    with pytest.raises(HttpResponseError, match=principal):
        in_job.get_secret("mine")
    grant(arm.emulator, "Key Vault Secrets User", principal)

    assert in_job.get_secret("mine").value == "hush"
    monkeypatch.setenv("MSI_SECRET", "wrong")
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token("https://vault.azure.net/.default")


def test_serverless_jobs_have_the_workspaces_user_assigned_identity(arm: Arm) -> None:
    path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"
    changes = {"identity": {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {path: {}}}}
    answer = arm.call("PATCH", arm.workspace, changes).body
    workspace = arm.emulator.context.store.workspaces[0]
    job = {"environmentId": "azureml:any:1", "command": "true", "jobType": "Command"}
    for name, identity in (("plain", None), ("managed", {"identityType": "Managed"})):
        arm.call("PUT", f"jobs/{name}", {"properties": {**job, "identity": identity}})

    (ids,) = answer["identity"]["userAssignedIdentities"].values()
    seen = {name: identities_of(found, workspace, None) for name, found in workspace.jobs.items()}
    assert seen["plain"] == []
    assert [(one.client_id, one.object_id) for one in seen["managed"]] == [(ids["clientId"], ids["principalId"])]
