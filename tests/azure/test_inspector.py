"""What `doctor` asks Azure: the real requests, against the emulator."""

from __future__ import annotations

from typing import Any

import pytest

from tests.azure.compute_world import World, cluster, instance
from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.arm.inspector import Inspector
from zenml_azureml.azure.arm.permissions import missing
from zenml_azureml.azure.compute.placement import Placement
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.doctor.checks.roles import FOR_COMPUTE, FOR_JOBS
from zenml_azureml.emulator.services.arm.rbac import role_named
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.compute import ComputeCluster
from zenml_azureml.specs.job import JobSpec

REGISTRIES = "/subscriptions/{}/resourceGroups/images/providers/Microsoft.ContainerRegistry/registries/{}"


@pytest.fixture
def inspector(world: World) -> Inspector:
    return Inspector(world.connection)


def restrict(arm: Arm, *roles: str) -> None:
    assert arm.call("POST", "/_emulator/roles", {"roles": roles}).status == 200


def make_registry(arm: Arm, name: str, **properties: object) -> str:
    path = REGISTRIES.format(arm.emulator.context.store.workspaces[0].subscription_id, name)
    made = arm.call("PUT", path, {"location": "westeurope", "properties": properties}, api_version="2023-07-01")
    assert made.status == 201
    return path


def assign(arm: Arm, scope: str, role: str, principal: str) -> None:
    found = role_named(role)
    assert found is not None
    definition = f"{scope.partition('/resourceGroups')[0]}/providers/Microsoft.Authorization/roleDefinitions/{found.id}"
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/11111111-1111-1111-1111-111111111111"
    body = {"properties": {"roleDefinitionId": definition, "principalId": principal}}
    assert arm.call("PUT", path, body, api_version="2022-04-01").status == 201


def test_who_has_signed_in_is_in_the_token(world: World, inspector: Inspector) -> None:
    found = inspector.credential()

    assert found.source == "the credential `ClientSecretCredential`"
    assert found.who == f"the application `{world.emulator.client_id}` of tenant `{world.emulator.tenant_id}`"
    assert (found.is_user, found.object_id) == (False, world.emulator.context.identity.object_id)
    assert found.expires_at > world.clock.now()


def test_the_workspace_is_described(world: World, inspector: Inspector) -> None:
    registry = make_registry(world.arm, "team")
    world.arm.call("PATCH", world.arm.workspace, {"properties": {"containerRegistry": registry}})

    found = inspector.workspace()

    assert (found.path, found.location, found.provisioning_state) == (world.arm.workspace, "westeurope", "Succeeded")
    assert (found.is_public, found.has_managed_network) == (True, False)
    assert found.container_registry == registry
    assert len(found.principal_ids) == 1
    assert "/history/v1.0/" in inspector.run_history()


def test_what_roles_allow_is_what_the_check_needs(world: World, inspector: Inspector) -> None:
    restrict(world.arm, "AzureML Data Scientist")
    scientist = inspector.permissions()
    restrict(world.arm, "AzureML Data Scientist", "AzureML Compute Operator")
    both = inspector.permissions()

    assert missing(scientist, FOR_JOBS) == missing(both, FOR_COMPUTE) == []
    assert missing(scientist, FOR_COMPUTE) == ["Microsoft.MachineLearningServices/workspaces/computes/write"]


def test_the_roles_of_the_users_document_are_enough_for_all_that_the_operator_asks(world: World) -> None:
    restrict(world.arm, "AzureML Data Scientist", "AzureML Compute Operator")

    target = world.ensure(ComputeCluster("gpus", size="Standard_DS3_v2"))
    request = JobSpec("job", "job", "tests", "image", "true", environment_variables={}, tags={}, own_tag="")
    JobSubmitter(world.connection).submit(request, Placement(target))
    world.connection.client.jobs.begin_cancel("job").result()

    assert {entry["status"] for entry in requests_of(world.emulator)} <= {200, 201, 202, 404}


def test_computes_are_listed_page_by_page_with_their_identities(world: World, inspector: Inspector) -> None:
    world.emulator.context.settings.page_size = 1
    body: dict[str, Any] = {**cluster(most=4), "identity": {"type": "SystemAssigned"}}
    world.others_create("gpus", body)
    world.others_create("dev", instance())
    world.say("dev", state="CreateFailed", errors=[{"error": {"code": "X", "message": "The subnet is full."}}])

    found = {compute.name: compute for compute in inspector.computes()}

    assert (found["gpus"].kind, found["gpus"].nodes, found["gpus"].max_nodes) == ("compute cluster", 0, 4)
    assert (found["gpus"].state, found["gpus"].is_broken, len(found["gpus"].principal_ids)) == ("Steady", False, 1)
    assert (found["dev"].kind, found["dev"].state, found["dev"].is_broken) == ("compute instance", "CreateFailed", True)
    assert (found["dev"].errors, found["dev"].principal_ids) == ("The subnet is full.", ())


def test_quota_and_sizes_take_a_role_on_the_subscription(world: World, inspector: Inspector) -> None:
    assert any(size.name == "Standard_DS3_v2" for size in inspector.sizes("westeurope"))
    assert any(row.is_total for row in inspector.quota("westeurope").rows)
    restrict(world.arm, "AzureML Data Scientist")

    with pytest.raises(AzureMLError) as refused:
        inspector.quota("westeurope")

    subscription = world.emulator.context.store.workspaces[0].subscription_id
    assert refused.value.azure_message.startswith("(AuthorizationFailed) The client ")
    assert refused.value.hint == (
        "Sizes and quota belong to the subscription: have an owner assign the credential a role such as Reader on "
        f"/subscriptions/{subscription}."
    )


def test_a_registry_is_found_by_its_host(world: World, inspector: Inspector) -> None:
    path = make_registry(world.arm, "team", adminUserEnabled=True, publicNetworkAccess="Disabled")

    found = inspector.registry("team.azurecr.io", "")
    own = inspector.registry("team.azurecr.io", path)

    assert found is not None
    assert found == own
    assert (found.id, found.host, found.has_admin_user, found.is_public) == (path, "team.azurecr.io", True, False)
    assert inspector.registry("others.azurecr.io", path) is None


def test_who_may_pull_follows_from_roles(world: World, inspector: Inspector) -> None:
    registry = make_registry(world.arm, "team")
    group = registry.partition("/providers/")[0]
    assign(world.arm, registry, "AcrPull", "gpus-id")
    assign(world.arm, group, "Contributor", "owner-id")
    assign(world.arm, world.arm.workspace, "AcrPull", "elsewhere-id")

    assert inspector.may_pull(registry, "gpus-id") is True
    assert inspector.may_pull(registry, "owner-id") is True
    assert inspector.may_pull(registry, "elsewhere-id") is False

    restrict(world.arm, "AzureML Data Scientist")
    assert inspector.may_pull(registry, "gpus-id") is None


def test_a_credential_without_any_role_is_told_in_azures_words(world: World, inspector: Inspector) -> None:
    restrict(world.arm)

    with pytest.raises(AzureMLError, match="AuthorizationFailed") as refused:
        inspector.workspace()

    assert "the roles `AzureML Data Scientist`" in refused.value.hint
    assert inspector.permissions() == ()


# What makes Azure refuse jobs


def test_a_subscription_without_obstacles_has_none(inspector: Inspector) -> None:
    assert inspector.subscription_state() == "Enabled"
    assert inspector.unregistered_provider() == ""
    assert inspector.locks() == ()


@pytest.mark.parametrize("state", ["NotRegistered", "Unregistered", "Unregistering"])
def test_a_resource_provider_that_is_not_registered_is_named(state: str, world: World, inspector: Inspector) -> None:
    world.arm_fault(path="/providers/Microsoft.MachineLearningServices$", status=200, body={"registrationState": state})

    assert inspector.unregistered_provider() == "Microsoft.MachineLearningServices"


def test_locks_of_the_workspace_and_its_group_are_found_and_those_of_others_are_not(
    world: World, inspector: Inspector
) -> None:
    workspace = world.connection.address.path
    group = workspace.partition("/providers/")[0]
    locks = "/providers/Microsoft.Authorization/locks/"
    found = [
        {"id": f"{group}{locks}keep", "name": "keep", "properties": {"level": "CanNotDelete"}},
        {"id": f"{workspace}{locks}frozen", "name": "frozen", "properties": {"level": "ReadOnly"}},
        {"id": f"{group}/providers/a/b/c{locks}other", "name": "other", "properties": {"level": "ReadOnly"}},
    ]
    world.arm_fault(path="/locks$", status=200, body={"value": found})

    assert {(lock.name, lock.is_read_only) for lock in inspector.locks()} == {("keep", False), ("frozen", True)}


@pytest.mark.parametrize(
    ("role", "may"),
    [("Storage Blob Data Contributor", True), ("Contributor", False), ("Reader", False)],
)
def test_a_role_on_the_storage_account_counts_if_it_writes_blobs(
    role: str, may: bool, world: World, inspector: Inspector
) -> None:
    storage = inspector.workspace().storage_account
    assign(world.arm, storage, role, "22222222-2222-2222-2222-222222222222")

    assert inspector.may_write_blobs(storage, "22222222-2222-2222-2222-222222222222") is may
    assert inspector.may_write_blobs(storage, "33333333-3333-3333-3333-333333333333") is False
