"""Whether computes can reach the container registry that images are in, and may pull from it."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.azure.arm.models import InspectedCompute, InspectedRegistry, InspectedWorkspace
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
        is_local: Whether it is on this machine.
    """

    name: str
    uri: str
    is_local: bool

    @property
    def host(self) -> str:
        """Its host, in lower case."""
        return self.uri.partition("/")[0].lower()

    @property
    def is_azures(self) -> bool:
        """Whether it is one of Azure's."""
        return self.host.endswith(_OF_AZURE)


@dataclass(frozen=True)
class RegistryFacts:
    """The registry as the workspace sees it.

    Attributes:
        stack: The registry of the stack; None if it has none.
        found: What Azure knows of it; None if it is nowhere to be seen.
        workspace: The workspace.
        compute: The compute that all steps use by default; None for serverless compute and one that is still to be
            made.
        grants: Whether each identity may pull, by object id; None where Azure does not tell.
        serverless: Whether steps use serverless compute by default.
    """

    stack: StackRegistry | None
    found: InspectedRegistry | None
    workspace: InspectedWorkspace
    compute: InspectedCompute | None
    grants: dict[str, bool | None]
    serverless: bool

    @property
    def is_the_workspaces(self) -> bool:
        """Whether it is the workspace's own."""
        return self.found is not None and self.found.id.lower() == self.workspace.container_registry.lower()


def check_stack_registry(stack: StackRegistry | None) -> Finding | None:
    """What is wrong with a registry whatever Azure knows of it; None if nothing is."""
    how = (
        "`zenml container-registry register NAME --flavor=azure --uri=REGISTRY.azurecr.io`, then `zenml stack update "
        "-c NAME`."
    )
    if stack is None:
        return failed(
            REACHABLE, "The stack has no container registry, and jobs pull their images from one.", f"Add one: {how}"
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
            f"`{stack.host}` is not one of Azure's registries, so Azure cannot be asked about it.",
            "See to it that its images are public, or that the workspace has a connection of the category "
            "`ContainerRegistry` with a login for it.",
        )
    return None


def check_registry(facts: RegistryFacts | Problem) -> Finding:
    """Whether it is there, and computes reach it."""
    if isinstance(facts, Problem):
        return unknown(REACHABLE, facts)
    wrong = check_stack_registry(facts.stack)
    if wrong is not None or facts.stack is None:
        return wrong or unknown(REACHABLE, Problem(""))
    if facts.found is None:
        return warning(
            REACHABLE,
            f"`{facts.stack.host}` is not among the registries of the workspace's subscription that the credential "
            "sees.",
            "If it is in another subscription, this cannot be looked at from here. Otherwise correct the `uri` of the "
            f"container registry `{facts.stack.name}`, or give the credential the role Reader on it.",
        )
    host = facts.found.host
    if facts.found.provisioning_state == "Failed":
        return failed(
            REACHABLE,
            f"`{host}` is there, but its provisioning has failed.",
            f"See why in the Azure portal: {facts.found.id}",
        )
    subnet = facts.compute is not None and facts.compute.has_subnet
    if not facts.found.is_public and not subnet and not facts.workspace.has_managed_network:
        return failed(
            REACHABLE,
            f"`{host}` takes no connections from the public network, and neither the workspace nor its compute is in a "
            "network of its own, so jobs cannot reach it.",
            f"Open it (`az acr update --name {host.partition('.')[0]} --public-network-enabled true`); or give the "
            "workspace a managed network, or the compute a subnet, with a private endpoint to the registry.",
        )
    if not facts.found.is_public or facts.found.only_some_addresses:
        which = "some addresses of the public network" if facts.found.is_public else "private endpoints"
        return warning(
            REACHABLE,
            f"`{host}` lets in {which} only; whether computes are among them cannot be told from here.",
            "See to it that the network of the computes has a private endpoint to it, or is among its network rules.",
        )
    own = "the workspace's own" if facts.is_the_workspaces else "not the workspace's own"
    return ok(REACHABLE, f"`{host}` is open to the public network; it is {own}")


def check_pull(facts: RegistryFacts | Problem) -> Finding:
    """Whether what runs the jobs may pull images."""
    if isinstance(facts, Problem):
        return unknown(PULL, facts)
    if facts.stack is None or facts.found is None:
        return unknown(PULL, Problem("Not looked at, because nothing is known of the container registry."))
    registry = facts.found
    if registry.lets_anybody_pull:
        return ok(PULL, f"`{registry.host}` lets anybody pull")
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
    unless = "" if facts.compute is not None else " unless the step's `compute_identity` says so"
    return failed(
        PULL,
        f"{what} has no managed identity{unless}, and `{registry.host}` is not the workspace's own registry, so "
        "nothing lets it pull images.",
        f"Make it the workspace's own: `az ml workspace update --container-registry {registry.id}`; or give the "
        "compute an identity that has the role AcrPull there.",
    )


def _by_the_workspace(facts: RegistryFacts, registry: InspectedRegistry) -> Finding:
    """Where only the identity of the workspace is left to pull with.

    Guess: that Azure ML does. Microsoft documents an identity of the workspace *or* the compute for private registries,
    and of serverless compute only that it has no system-assigned identity (learn.microsoft.com/azure/machine-learning:
    how-to-identity-based-service-authentication, how-to-use-serverless-compute). A user whose registry had no admin
    user was told that serverless compute could not pull (github.com/Azure/azureml-examples/issues/3463).
    """
    found = _by_roles(facts, registry, facts.workspace.principal_ids, "The identity of the workspace")
    name = registry.host.partition(".")[0]
    works = "a compute cluster whose managed identity has the role AcrPull there"
    if facts.is_the_workspaces:
        works = f"the registry's admin user (`az acr update --name {name} --admin-enabled true`), or {works}"
    if found.status is Status.OK:
        who = "serverless compute" if facts.serverless else "a compute without an identity"
        return warning(
            PULL,
            f"{found.found}, but Microsoft does not document that {who} pulls with it.",
            f"Try it with one step. What is documented: {works}.",
        )
    if found.status is Status.FAILED:
        return failed(PULL, found.found, f"{found.hint}. If that is not enough, what is documented: {works}.")
    return found


def _by_roles(facts: RegistryFacts, registry: InspectedRegistry, principals: tuple[str, ...], who: str) -> Finding:
    told = [facts.grants.get(principal) for principal in principals]
    if True in told:
        return ok(PULL, f"{who} may pull from `{registry.host}`")
    if None in told or not told:
        return unknown(
            PULL,
            Problem(
                f"The credential may not see who may pull from `{registry.host}`.",
                f"Have it given the role Reader on {registry.id}, or ask its owner whether {who[0].lower()}{who[1:]} "
                "has the role AcrPull there.",
            ),
        )
    commands = "; ".join(
        f"az role assignment create --role AcrPull --assignee-object-id {principal} --assignee-principal-type "
        f"ServicePrincipal --scope {registry.id}"
        for principal in principals[:1]
    )
    return failed(PULL, f"{who} may not pull from `{registry.host}`.", f"Have an owner of the registry run: {commands}")
