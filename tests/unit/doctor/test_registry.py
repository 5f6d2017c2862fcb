"""`doctor`: the container registry, and who may pull from it. Each check fails here once, in exactly these words."""

from __future__ import annotations

from dataclasses import replace

from zenml_azureml.azure.arm.models import InspectedCompute, InspectedRegistry, InspectedWorkspace
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.clouds import AZURE
from zenml_azureml.doctor.checks.registry import RegistryFacts, StackRegistry, check_pull, check_registry
from zenml_azureml.doctor.result import Finding, Problem, Status

GPUS = InspectedCompute("gpus", "compute cluster", "STANDARD_NC8AS_T4_V3", "Steady", 0, 4, "", False, ("gpus-id",))
DEV = InspectedCompute("dev", "compute instance", "STANDARD_DS3_V2", "Stopped", None, None, "", False, ())
REGISTRY_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/team"
REGISTRY = InspectedRegistry(REGISTRY_ID, "team.azurecr.io", "Succeeded", True, False, False, False)
WORKSPACE = InspectedWorkspace("/w", "westeurope", "Succeeded", True, False, REGISTRY_ID, ("workspace-id",))
FOREIGN = replace(WORKSPACE, container_registry="")
ADDRESS = WorkspaceAddress("sub", "rg", "ws", AZURE)
STACK = StackRegistry("acr", "team.azurecr.io", is_local=False)


def facts(
    found: InspectedRegistry | None = REGISTRY,
    *,
    stack: StackRegistry | None = STACK,
    workspace: InspectedWorkspace = WORKSPACE,
    compute: InspectedCompute | None = None,
    grants: dict[str, bool | None] | None = None,
    serverless: bool = False,
) -> RegistryFacts:
    return RegistryFacts(stack, found, workspace, compute, grants or {}, serverless, ADDRESS)


def test_a_registry_that_computes_reach_is_well() -> None:
    assert check_registry(facts()) == Finding(
        "container registry",
        Status.OK,
        "`team.azurecr.io` is open to the public network; it is the workspace's own",
    )


def test_a_stack_without_a_registry_or_with_one_on_this_machine_fails() -> None:
    how = (
        "`zenml container-registry register NAME --flavor=azure --uri=REGISTRY.azurecr.io`, then `zenml stack update "
        "-c NAME`."
    )

    assert check_registry(facts(stack=None)) == Finding(
        "container registry",
        Status.FAILED,
        "The stack has no container registry, from which jobs could pull their images.",
        f"Add one: {how}",
    )
    assert check_registry(facts(stack=StackRegistry("own", "localhost:5000", is_local=True))) == Finding(
        "container registry",
        Status.FAILED,
        "Azure ML cannot pull from the container registry `own` (localhost:5000): it is on this machine.",
        f"Use a remote one: {how}",
    )


def test_a_registry_that_is_closed_to_the_public_network_fails_where_nothing_else_leads_there() -> None:
    closed = replace(REGISTRY, is_public=False)

    assert check_registry(facts(closed, compute=GPUS)) == Finding(
        "container registry",
        Status.FAILED,
        "`team.azurecr.io` takes no connections from the public network, and neither the workspace nor its compute "
        "is in "
        "a network of its own, so jobs cannot reach it.",
        "Open it (`az acr update --name team --public-network-enabled true --resource-group g --subscription s`); or "
        "give the workspace a managed "
        "network, or "
        "the compute a subnet, with a private endpoint to the registry.",
    )
    in_a_subnet = check_registry(facts(closed, compute=replace(GPUS, has_subnet=True)))
    assert (in_a_subnet.status, in_a_subnet.found) == (
        Status.WARNING,
        "`team.azurecr.io` accepts connections from private endpoints only; it is unknown if that includes the "
        "computes.",
    )


def test_a_registry_whose_making_failed_fails() -> None:
    assert check_registry(facts(replace(REGISTRY, provisioning_state="Failed"))) == Finding(
        "container registry",
        Status.FAILED,
        "`team.azurecr.io` exists, but its provisioning has failed.",
        f"For the cause, see the Azure portal: {REGISTRY_ID}",
    )


def test_a_registry_that_nobody_can_look_at_is_a_warning() -> None:
    unseen = check_registry(facts(None))
    foreign = check_registry(facts(None, stack=StackRegistry("hub", "docker.io/team", is_local=False)))

    assert unseen.status is foreign.status is Status.WARNING
    assert unseen.found == ("`team.azurecr.io` was not found in the workspace's subscription with this credential.")
    assert foreign.found == "`docker.io` is not an Azure container registry, so it cannot be checked."


def test_the_identity_of_a_compute_has_to_be_allowed_to_pull() -> None:
    assert check_pull(facts(compute=GPUS, grants={"gpus-id": True})) == Finding(
        "image pull", Status.OK, "The identity of the compute cluster `gpus` may pull from `team.azurecr.io`"
    )
    assert check_pull(facts(compute=GPUS, grants={"gpus-id": False})) == Finding(
        "image pull",
        Status.FAILED,
        "The identity of the compute cluster `gpus` may not pull from `team.azurecr.io`.",
        "Have an owner of the registry run: az role assignment create --role AcrPull --assignee-object-id gpus-id "
        f"--assignee-principal-type ServicePrincipal --scope {REGISTRY_ID} --subscription s",
    )


def test_a_compute_without_an_identity_can_pull_from_the_workspaces_own_registry_only() -> None:
    admin = replace(REGISTRY, has_admin_user=True)

    assert check_pull(facts(admin, compute=DEV)).status is Status.OK
    assert check_pull(facts(admin, compute=DEV, workspace=FOREIGN)) == Finding(
        "image pull",
        Status.FAILED,
        "The compute instance `dev` has no managed identity, and `team.azurecr.io` is not the workspace's own "
        "registry, "
        "so it may not pull images.",
        f"Make it the workspace's own: `az ml workspace update --name ws --container-registry {REGISTRY_ID} "
        "--update-dependent-resources --resource-group rg --subscription sub`; or give the "
        "compute "
        "an identity that has the role AcrPull there.",
    )
    assert check_pull(facts(workspace=FOREIGN)).found.startswith(
        "A compute that a step creates has no managed identity unless the step's `compute_identity` sets one, and "
    )


def test_that_the_workspace_pulls_for_serverless_compute_is_not_told_as_a_fact() -> None:
    refused = check_pull(facts(workspace=FOREIGN, serverless=True, grants={"workspace-id": False}))
    granted = check_pull(facts(workspace=FOREIGN, serverless=True, grants={"workspace-id": True}))
    own = check_pull(facts(replace(REGISTRY, has_admin_user=False), serverless=True, grants={"workspace-id": True}))

    assert refused.status is Status.FAILED
    assert refused.found == "The identity of the workspace may not pull from `team.azurecr.io`."
    documented = "a compute cluster whose managed identity has the role AcrPull there."
    assert refused.hint.endswith(f". If that is not enough, documented: {documented}")
    assert granted == Finding(
        "image pull",
        Status.WARNING,
        "The identity of the workspace may pull from `team.azurecr.io`, but Microsoft does not document that "
        "serverless compute pulls with it.",
        f"Try it with one step. Documented: {documented}",
    )
    command = "az acr update --name team --admin-enabled true --resource-group g --subscription s"
    assert f"the registry's admin user (`{command}`), or a comp" in own.hint


def test_whoever_may_pull_is_well() -> None:
    assert (
        check_pull(facts(replace(REGISTRY, lets_anybody_pull=True))).found == "`team.azurecr.io` allows anonymous pull"
    )


def test_where_roles_cannot_be_seen_it_is_unknown_who_may_pull() -> None:
    found = check_pull(facts(compute=GPUS, grants={"gpus-id": None}))

    assert (found.status, found.found) == (
        Status.UNKNOWN,
        "The credential may not read who may pull from `team.azurecr.io`.",
    )
    assert check_pull(facts(None)).status is Status.UNKNOWN


def test_without_azure_nothing_is_known_of_it() -> None:
    problem = Problem("Skipped: sign-in failed.")

    assert check_registry(problem).status is check_pull(problem).status is Status.UNKNOWN
