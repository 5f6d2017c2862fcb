"""What Microsoft's other clients find at Azure's own addresses: tenants, subscriptions, accounts, containers.

They are those that ZenML's Azure service connector uses.
"""

from __future__ import annotations

import pytest
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.resource import SubscriptionClient
from azure.mgmt.storage import StorageManagementClient
from azure.storage.blob import BlobServiceClient

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator, WorkspaceName


@pytest.fixture
def signed_in(proxied: Emulator) -> ClientSecretCredential:
    """Signed in at Microsoft's own address, as far as the credential knows."""
    return ClientSecretCredential(proxied.tenant_id, proxied.client_id, proxied.client_secret)


def test_an_application_sees_its_tenant_and_its_subscription(
    proxied: Emulator, signed_in: ClientSecretCredential
) -> None:
    client = SubscriptionClient(signed_in)
    subscription_id = WorkspaceName().subscription_id

    assert [tenant.tenant_id for tenant in client.tenants.list()] == [proxied.tenant_id]
    (subscription,) = client.subscriptions.list()
    assert (subscription.subscription_id, subscription.state) == (subscription_id, "Enabled")
    assert client.subscriptions.get(subscription_id).tenant_id == proxied.tenant_id
    with pytest.raises(ResourceNotFoundError, match="SubscriptionNotFound"):
        client.subscriptions.get("11111111-1111-1111-1111-111111111111")


@pytest.mark.parametrize("path", ["/tenants", "/subscriptions"])
def test_without_a_token_nobody_sees_any(arm: Arm, path: str) -> None:
    assert arm.call("GET", path, headers={"Authorization": ""}).status == 401
    assert arm.call("GET", path, api_version=None).status == 400


def test_the_workspaces_storage_account_has_its_container(proxied: Emulator, signed_in: ClientSecretCredential) -> None:
    (account,) = StorageManagementClient(signed_in, WorkspaceName().subscription_id).storage_accounts.list()
    workspace = Arm(proxied).call("GET", proxied.context.store.workspaces[0].path).body

    assert account.id == workspace["properties"]["storageAccount"]
    service = BlobServiceClient(f"https://{account.name}.blob.core.windows.net/", credential=signed_in)
    default = f"azureml-blobstore-{proxied.context.store.workspaces[0].workspace_id}"
    assert [container.name for container in service.list_containers()] == ["azureml", default]


def test_a_token_for_another_service_does_not_open_it(proxied: Emulator, signed_in: ClientSecretCredential) -> None:
    class OtherService:
        def get_token(self, *_scopes: str, **options: object) -> object:
            return signed_in.get_token("https://management.azure.com/.default")

    (account,) = StorageManagementClient(signed_in, WorkspaceName().subscription_id).storage_accounts.list()
    service = BlobServiceClient(f"https://{account.name}.blob.core.windows.net/", credential=OtherService())  # type: ignore[arg-type]

    with pytest.raises(ClientAuthenticationError, match="Server failed to authenticate the request"):
        list(service.list_containers())


def test_an_account_that_is_none_has_nothing(signed_in: ClientSecretCredential) -> None:
    service = BlobServiceClient("https://nobody.blob.core.windows.net/", credential=signed_in)

    with pytest.raises(ResourceNotFoundError, match="The specified resource does not exist"):
        list(service.list_containers())


def test_there_are_no_registries_and_no_clusters(signed_in: ClientSecretCredential) -> None:
    subscription_id = WorkspaceName().subscription_id

    assert list(ContainerRegistryManagementClient(signed_in, subscription_id).registries.list()) == []
    assert list(ContainerServiceClient(signed_in, subscription_id).managed_clusters.list()) == []


def test_an_unknown_provider_is_named(arm: Arm) -> None:
    subscription = arm.workspace.split("/resourceGroups")[0]

    refused = arm.call("GET", f"{subscription}/providers/Microsoft.Other/things")

    assert (refused.status, refused.body["error"]["code"]) == (501, "NotEmulated")
    assert "Microsoft.Other/things is not emulated" in refused.body["error"]["message"]


# Microsoft Entra's word for which authorities are its own


def test_an_authority_of_microsoft_is_vouched_for_with_its_aliases(arm: Arm) -> None:
    tenant = arm.emulator.tenant_id
    asked = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"

    answer = arm.call("GET", f"/common/discovery/instance?authorization_endpoint={asked}", api_version="1.1")

    endpoint = f"https://login.microsoftonline.com/{tenant}/v2.0/.well-known/openid-configuration"
    assert answer.body["tenant_discovery_endpoint"] == endpoint
    public, china, government = answer.body["metadata"]
    assert (public["preferred_network"], public["preferred_cache"]) == (
        "login.microsoftonline.com",
        "login.windows.net",
    )
    assert "sts.windows.net" in public["aliases"]
    assert china["aliases"] == ["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"]
    assert government["preferred_cache"] == "login.microsoftonline.us"


def test_another_authority_is_not(arm: Arm) -> None:
    asked = f"{arm.emulator.base_url}/{arm.emulator.tenant_id}/oauth2/v2.0/authorize"

    answer = arm.call("GET", f"/common/discovery/instance?authorization_endpoint={asked}", api_version="1.1")

    assert (answer.status, answer.body["error"]) == (400, "invalid_instance")
    assert answer.body["error_description"].startswith("AADSTS50049: Unknown or invalid instance.")


def test_so_azure_identity_refuses_the_emulators_own_address(proxied: Emulator) -> None:
    credential = ClientSecretCredential(
        proxied.tenant_id, proxied.client_id, proxied.client_secret, authority=proxied.base_url
    )

    with pytest.raises(ClientAuthenticationError, match="is not well-known"):
        credential.get_token("https://management.azure.com/.default")
