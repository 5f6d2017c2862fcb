"""Roles: what the caller may do is told as it is enforced, and who may pull images is on record."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import AmlCompute, Environment
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.services.arm.authorize import action_and_scope
from zenml_azureml.emulator.services.arm.rbac import BUILT_IN_ROLES, role_named

ML = "Microsoft.MachineLearningServices"
WORKSPACE = f"/subscriptions/s/resourceGroups/g/providers/{ML}/workspaces/w"
AUTHORIZATION = "providers/Microsoft.Authorization"
VERSION = "2022-04-01"


def restrict(arm: Arm, *roles: str, scope: str | None = None) -> None:
    assert arm.call("POST", "/_emulator/roles", {"roles": roles, "scope": scope}).status == 200


def role_id(arm: Arm, name: str) -> str:
    role = role_named(name)
    assert role is not None
    subscription = arm.emulator.context.store.workspaces[0].subscription_id
    return f"/subscriptions/{subscription}/{AUTHORIZATION}/roleDefinitions/{role.id}"


@pytest.mark.parametrize(
    ("method", "path", "action", "scope"),
    [
        ("PUT", f"{WORKSPACE}/jobs/j", "workspaces/jobs/write", f"{WORKSPACE}/jobs/j"),
        ("GET", f"{WORKSPACE}/jobs", "workspaces/jobs/read", WORKSPACE),
        ("POST", f"{WORKSPACE}/jobs/j/cancel", "workspaces/jobs/cancel/action", f"{WORKSPACE}/jobs/j"),
        ("DELETE", f"{WORKSPACE}/computes/c", "workspaces/computes/delete", f"{WORKSPACE}/computes/c"),
        ("GET", f"/subscriptions/s/providers/{ML}/workspaces", "workspaces/read", "/subscriptions/s"),
        (
            *("GET", f"/subscriptions/s/providers/{ML}/locations/l/vmSizes", "locations/vmSizes/read"),
            f"/subscriptions/s/providers/{ML}/locations/l",
        ),
    ],
)
def test_every_request_asks_for_an_action_at_a_scope(method: str, path: str, action: str, scope: str) -> None:
    assert action_and_scope(method, path) == (f"{ML}/{action}", scope)


def test_how_far_an_operation_is_takes_no_role() -> None:
    assert action_and_scope("GET", f"/subscriptions/s/providers/{ML}/locations/l/computeOperationsStatus/o") is None
    assert action_and_scope("GET", f"{WORKSPACE}/{AUTHORIZATION}/permissions") is None


@pytest.mark.parametrize(
    ("role", "action", "allows"),
    [
        ("AzureML Data Scientist", "workspaces/read", True),
        ("AzureML Data Scientist", "workspaces/jobs/write", True),
        ("AzureML Data Scientist", "workspaces/write", False),
        ("AzureML Data Scientist", "workspaces/computes/write", False),
        ("AzureML Compute Operator", "workspaces/computes/write", True),
        ("AzureML Compute Operator", "workspaces/jobs/write", False),
        ("Reader", "workspaces/computes/read", True),
        ("Reader", "workspaces/computes/start/action", False),
        ("Contributor", "workspaces/jobs/write", True),
    ],
)
def test_azures_own_roles_allow_what_their_descriptions_say(role: str, action: str, allows: bool) -> None:
    found = role_named(role)
    assert found is not None
    assert found.allows(f"{ML}/{action}".upper()) is allows


def test_at_first_the_application_owns_the_subscription(arm: Arm) -> None:
    answer = arm.call("GET", f"{AUTHORIZATION}/permissions", api_version=VERSION)

    assert answer.body == {"value": [{"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}]}
    assert answer.text.startswith('{"value":')  # compact: it is Resource Manager's own answer


def test_what_no_role_allows_is_refused_in_azures_words(arm: Arm, ml_client: MLClient) -> None:
    restrict(arm, "AzureML Data Scientist")

    ml_client.jobs.create_or_update(command(name="mine", command="true", environment=Environment(image="any")))
    with pytest.raises(HttpResponseError) as refused:
        ml_client.compute.begin_create_or_update(AmlCompute(name="gpus", size="Standard_DS3_v2", location="westeurope"))

    assert refused.value.status_code == 403
    assert refused.value.error is not None
    assert refused.value.error.code == "AuthorizationFailed"
    identity = arm.emulator.context.identity
    assert refused.value.error.message == (
        f"The client '{identity.client_id}' with object id '{identity.object_id}' does not have authorization to "
        f"perform action '{ML}/workspaces/computes/write' over scope '{arm.workspace}/computes/gpus' or the scope is "
        "invalid. If access was recently granted, please refresh your credentials."
    )
    with pytest.raises(HttpResponseError, match=r"locations/vmSizes/read"):
        list(ml_client.compute.list_sizes(location="westeurope"))


def test_whoever_may_not_do_a_thing_is_told_so_before_whether_it_is_there(arm: Arm) -> None:
    restrict(arm)

    assert arm.call("GET", "jobs/missing").status == 403
    assert arm.call("GET", "/subscriptions/11111111-1111-1111-1111-111111111111").status == 404
    told = arm.call("GET", f"{AUTHORIZATION}/permissions", api_version=VERSION)
    assert (told.status, told.body) == (200, {"value": []})


def test_a_reset_gives_the_application_its_rights_back(arm: Arm) -> None:
    restrict(arm, "Reader")
    arm.call("POST", "/_emulator/reset")

    assert [found["role"] for found in arm.call("GET", "/_emulator/roles").body] == ["Owner"]
    unknown = arm.call("POST", "/_emulator/roles", {"roles": ["Janitor"]})
    assert (unknown.status, "there is no role Janitor; there are Owner, " in unknown.body["error"]) == (400, True)


def test_roles_are_assigned_listed_and_taken_away(arm: Arm) -> None:
    path = f"{AUTHORIZATION}/roleAssignments/11111111-1111-1111-1111-111111111111"
    wanted = {"properties": {"roleDefinitionId": role_id(arm, "Reader"), "principalId": "somebody"}}

    made = arm.call("PUT", path, wanted, api_version=VERSION)
    again = arm.call("PUT", path, wanted, api_version=VERSION)
    listed = arm.call(
        "GET",
        f"{AUTHORIZATION}/roleAssignments?$filter=assignedTo('somebody')".replace(" ", "%20"),
        api_version=VERSION,
    )

    assert made.status == 201
    assert (again.status, again.body["error"]["code"]) == (409, "RoleAssignmentExists")
    assert [found["properties"]["principalId"] for found in listed.body["value"]] == ["somebody"]
    assert listed.body["value"][0]["properties"]["scope"] == arm.workspace
    definition = arm.call("GET", listed.body["value"][0]["properties"]["roleDefinitionId"], api_version=VERSION)
    assert definition.body["properties"]["permissions"][0]["actions"] == ["*/read"]
    assert arm.call("DELETE", path, api_version=VERSION).status == 200
    assert arm.call("GET", path, api_version=VERSION).status == 404


def test_role_definitions_are_found_by_name(arm: Arm) -> None:
    everything = arm.call("GET", f"{AUTHORIZATION}/roleDefinitions", api_version=VERSION).body["value"]
    (pull,) = arm.call(
        "GET", f"{AUTHORIZATION}/roleDefinitions?$filter=roleName%20eq%20'AcrPull'", api_version=VERSION
    ).body["value"]

    assert len(everything) == len(BUILT_IN_ROLES)
    assert pull["name"] == "7f951dda-4ed3-4680-a7ca-43fe172d538d"


def test_a_registry_is_made_and_given_to_the_workspace(proxied: Emulator) -> None:
    credential = ClientSecretCredential(proxied.tenant_id, proxied.client_id, proxied.client_secret)
    address = WorkspaceName()
    client = ContainerRegistryManagementClient(credential, address.subscription_id)
    arm = Arm(proxied)
    assert "containerRegistry" not in arm.call("GET", arm.workspace).body["properties"]

    registry = client.registries.begin_create(
        address.resource_group, "images", {"location": "westeurope", "sku": {"name": "Basic"}}
    ).result()
    arm.call("PATCH", arm.workspace, {"properties": {"containerRegistry": registry.id}})

    assert (registry.login_server, registry.admin_user_enabled) == ("images.azurecr.io", False)
    assert [found.id for found in client.registries.list()] == [registry.id]
    assert arm.call("GET", arm.workspace).body["properties"]["containerRegistry"] == registry.id
    with pytest.raises(ResourceNotFoundError, match="ResourceNotFound"):
        client.registries.get(address.resource_group, "others")
