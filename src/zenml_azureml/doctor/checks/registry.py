"""Check that computes can reach the container registry, and may pull images from it."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.azure.arm.models import InspectedCompute, InspectedRegistry, InspectedWorkspace
from zenml_azureml.azure.cli_hints import Address, az_assign_role, az_ml_workspace, az_resource
from zenml_azureml.doctor.result import Finding, Problem, Status, failed, ok, unknown, warning

REACHABLE = "container registry"
PULL = "image pull"

_OF_AZURE = (".azurecr.io", ".azurecr.cn", ".azurecr.us")


@dataclass(frozen=True)
class StackRegistry:
    """The container registry of the stack.

    Attributes:
        name: Name of the component.
        uri: Its URI.
        is_local: True if it is on this machine.
    """

    name: str
    uri: str
    is_local: bool

    @property
    def host(self) -> str:
        """Host of the registry, in lower case."""
        return self.uri.partition("/")[0].lower()

    @property
    def is_azures(self) -> bool:
        """True if it is an Azure container registry."""
        return self.host.endswith(_OF_AZURE)


@dataclass(frozen=True)
class RegistryFacts:
    """The registry, as seen from the workspace.

    Attributes:
        stack: The registry of the stack; None if it has none.
        found: The registry in Azure; None if it was not found.
        workspace: The workspace.
        compute: The compute that all steps use by default; None for serverless compute and one that does not exist
            yet.
        grants: True if an identity may pull, by object id; None if unknown.
        serverless: True if steps use serverless compute by default.
        address: The workspace.
    """

    stack: StackRegistry | None
    found: InspectedRegistry | None
    workspace: InspectedWorkspace
    compute: InspectedCompute | None
    grants: dict[str, bool | None]
    serverless: bool
    address: Address

    @property
    def is_the_workspaces(self) -> bool:
        """True if it is the registry of the workspace."""
        return self.found is not None and self.found.id.lower() == self.workspace.container_registry.lower()


def check_stack_registry(stack: StackRegistry | None) -> Finding | None:
    """Return a problem that is independent of the registry's state in Azure; None if there is none."""
    how = (
        "`zenml container-registry register NAME --flavor=azure --uri=REGISTRY.azurecr.io`, then `zenml stack update "
        "-c NAME`."
    )
    if stack is None:
        return failed(
            REACHABLE,
            "The stack has no container registry, from which jobs could pull their images.",
            f"Add one: {how}",
        )
    if stack.is_local:
        return failed(
            REACHABLE,
            f"Azure ML cannot pull from the container registry `{stack.name}` ({stack.uri}): it is on this machine.",
            f"Use a remote one: {how}",
        )
    if not stack.is_azures:
        return warning(
            REACHABLE,
            f"`{stack.host}` is not an Azure container registry, so it cannot be checked.",
            "Make sure that its images are public, or that the workspace has a connection of the category "
            "`ContainerRegistry` with a login for it.",
        )
    return None


def check_registry(facts: RegistryFacts | Problem) -> Finding:
    """Check that the registry exists, and that computes can reach it."""
    if isinstance(facts, Problem):
        return unknown(REACHABLE, facts)
    wrong = check_stack_registry(facts.stack)
    if wrong is not None or facts.stack is None:
        return wrong or unknown(REACHABLE, Problem(""))
    if facts.found is None:
        return warning(
            REACHABLE,
            f"`{facts.stack.host}` was not found in the workspace's subscription with this credential.",
            "If it is in another subscription, it cannot be checked. Otherwise correct the `uri` of the "
            f"container registry `{facts.stack.name}`, or give the credential the role Reader on it.",
        )
    host = facts.found.host
    if facts.found.provisioning_state == "Failed":
        return failed(
            REACHABLE,
            f"`{host}` exists, but its provisioning has failed.",
            f"For the cause, see the Azure portal: {facts.found.id}",
        )
    subnet = facts.compute is not None and facts.compute.has_subnet
    if not facts.found.is_public and not subnet and not facts.workspace.has_managed_network:
        cloud = facts.address.cloud
        open_it = az_resource(cloud, "acr update", facts.found.id, public_network_enabled="true")
        return failed(
            REACHABLE,
            f"`{host}` takes no connections from the public network, and neither the workspace nor its compute is in a "
            "network of its own, so jobs cannot reach it.",
            f"Open it (`{open_it}`); or give the "
            "workspace a managed network, or the compute a subnet, with a private endpoint to the registry.",
        )
    if not facts.found.is_public or facts.found.only_some_addresses:
        which = "some addresses of the public network" if facts.found.is_public else "private endpoints"
        return warning(
            REACHABLE,
            f"`{host}` accepts connections from {which} only; it is unknown if that includes the computes.",
            "Make sure that the network of the computes has a private endpoint to it, or is in its network rules.",
        )
    own = "the workspace's own" if facts.is_the_workspaces else "not the workspace's own"
    return ok(REACHABLE, f"`{host}` is open to the public network; it is {own}")


def check_pull(facts: RegistryFacts | Problem) -> Finding:
    """Check that the identity of the jobs may pull images."""
    if isinstance(facts, Problem):
        return unknown(PULL, facts)
    if facts.stack is None or facts.found is None:
        return unknown(PULL, Problem("Skipped: the container registry was not found."))
    registry = facts.found
    if registry.lets_anybody_pull:
        return ok(PULL, f"`{registry.host}` allows anonymous pull")
    of_compute = facts.compute.principal_ids if facts.compute is not None else ()
    if of_compute and facts.compute is not None:
        return _by_roles(
            facts, registry, of_compute, f"The identity of the {facts.compute.kind} `{facts.compute.name}`"
        )
    if facts.is_the_workspaces and registry.has_admin_user:
        return ok(PULL, f"Azure ML pulls with the admin user of `{registry.host}`, the workspace's own registry")
    if facts.is_the_workspaces or facts.serverless:
        return _by_the_workspace(facts, registry)
    what = (
        f"The {facts.compute.kind} `{facts.compute.name}`"
        if facts.compute is not None
        else "A compute that a step creates"
    )
    # Azure ML asks for consent to this change. Source: azure-ai-ml, `WorkspaceOperationsBase.begin_update`.
    make_own = az_ml_workspace(
        facts.address, "ml workspace update", container_registry=registry.id, update_dependent_resources=True
    )
    unless = "" if facts.compute is not None else " unless the step's `compute_identity` sets one"
    return failed(
        PULL,
        f"{what} has no managed identity{unless}, and `{registry.host}` is not the workspace's own registry, so "
        "it may not pull images.",
        f"Make it the workspace's own: `{make_own}`; or give the compute an identity that has the role AcrPull there.",
    )


def _by_the_workspace(facts: RegistryFacts, registry: InspectedRegistry) -> Finding:
    """Return the finding if only the identity of the workspace is left for pulling.

    Guess: Azure ML uses it. Microsoft documents an identity of the workspace *or* the compute for private registries,
    and of serverless compute only that it has no system-assigned identity (learn.microsoft.com/azure/machine-learning:
    how-to-identity-based-service-authentication, how-to-use-serverless-compute). A user whose registry had no admin
    user was refused on serverless compute (github.com/Azure/azureml-examples/issues/3463).
    """
    found = _by_roles(facts, registry, facts.workspace.principal_ids, "The identity of the workspace")
    works = "a compute cluster whose managed identity has the role AcrPull there"
    if facts.is_the_workspaces:
        enable = az_resource(facts.address.cloud, "acr update", registry.id, admin_enabled="true")
        works = f"the registry's admin user (`{enable}`), or {works}"
    if found.status is Status.OK:
        who = "serverless compute" if facts.serverless else "a compute without an identity"
        return warning(
            PULL,
            f"{found.found}, but Microsoft does not document that {who} pulls with it.",
            f"Try it with one step. Documented: {works}.",
        )
    if found.status is Status.FAILED:
        return failed(PULL, found.found, f"{found.hint}. If that is not enough, documented: {works}.")
    return found


def _by_roles(facts: RegistryFacts, registry: InspectedRegistry, principals: tuple[str, ...], who: str) -> Finding:
    granted = [facts.grants.get(principal) for principal in principals]
    if True in granted:
        return ok(PULL, f"{who} may pull from `{registry.host}`")
    if None in granted or not granted:
        return unknown(
            PULL,
            Problem(
                f"The credential may not read who may pull from `{registry.host}`.",
                f"Assign it the role Reader on {registry.id}, or ask the owner of the registry if "
                f"{who[0].lower()}{who[1:]} has the role AcrPull there.",
            ),
        )
    commands = "; ".join(
        az_assign_role(facts.address, "AcrPull", principal, registry.id) for principal in principals[:1]
    )
    return failed(PULL, f"{who} may not pull from `{registry.host}`.", f"Have an owner of the registry run: {commands}")
