"""Check that the workspace and its run history can be reached, and that nothing makes Azure refuse jobs there."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_azureml.azure.arm.models import InspectedWorkspace, Lock
from zenml_azureml.azure.cli_hints import Address, az_assign_role
from zenml_azureml.azure.refusals.table import LOCK, PROVIDER, STORAGE_ROLE, SUBSCRIPTION
from zenml_azureml.doctor.result import Finding, Problem, failed, ok, warning

CHECK = "workspace"


#: States of a subscription in which it cannot be written to, and in which it will soon be so.
#: Source: "Subscriptions - Get" in Microsoft's API reference.
_DISABLED, _WARNED = ("Disabled", "Deleted"), ("Warned", "PastDue")


@dataclass(frozen=True)
class Obstacles:
    """What makes Azure refuse jobs in a workspace; a part that the credential may not read is empty.

    Attributes:
        subscription_state: State of the subscription.
        unregistered_provider: Resource provider that has to be registered.
        locks: Locks on the workspace and on its resource group.
        storage_account: ARM id of the workspace's storage account, if its identity-based datastores cannot be used by
            the configured compute; empty otherwise.
        without_role: Object id of the compute's identity that has no role there; empty if it has no identity.
        address: The workspace; None if unknown.
    """

    subscription_state: str = ""
    unregistered_provider: str = ""
    locks: tuple[Lock, ...] = ()
    storage_account: str = ""
    without_role: str = ""
    address: Address | None = None


def check_workspace(
    name: str, facts: InspectedWorkspace | Problem, run_history: str | Problem, obstacles: Obstacles = Obstacles()
) -> Finding:
    """Check that the workspace exists, is provisioned, and can be read from this machine.

    Args:
        name: Name of the workspace.
        facts: The workspace.
        run_history: URL of its run history.
        obstacles: What makes Azure refuse jobs there.
    """
    wrong = _refused(obstacles)
    if wrong is not None:
        return wrong
    if isinstance(facts, Problem):
        return failed(CHECK, facts.what, facts.hint)
    if facts.provisioning_state == "Failed":
        return failed(
            CHECK,
            f"The workspace `{name}` exists, but its provisioning has failed.",
            f"For the cause, see *Deployments* of its resource group in the Azure portal: {facts.path}",
        )
    if isinstance(run_history, Problem):
        return warning(
            CHECK,
            f"The workspace `{name}` exists, but its run history cannot be reached from this machine, so jobs have no "
            f"log and no cause of failure. {run_history.what}",
            "Connect this machine to the workspace's own services: by a private endpoint, a VPN or a proxy."
            if not facts.is_public
            else run_history.hint,
        )
    return _warned(obstacles) or ok(CHECK, f"`{name}` in {facts.location}, with its run history")


def _refused(obstacles: Obstacles) -> Finding | None:
    """Return the finding if Azure refuses all jobs; None if it does not."""
    if obstacles.subscription_state in _DISABLED:
        what = f"The subscription is {obstacles.subscription_state.lower()}, so Azure refuses jobs."
        return failed(CHECK, what, SUBSCRIPTION.advice("", obstacles.address))
    if obstacles.unregistered_provider:
        what = f"The resource provider `{obstacles.unregistered_provider}` is not registered in the subscription."
        return failed(CHECK, what, PROVIDER.advice(obstacles.unregistered_provider, obstacles.address))
    read_only = [lock.name for lock in obstacles.locks if lock.is_read_only]
    if read_only:
        what = f"The lock `{read_only[0]}` makes the workspace or its resource group read-only, so Azure refuses jobs."
        return failed(CHECK, what, LOCK.advice("", obstacles.address))
    return None


def _warned(obstacles: Obstacles) -> Finding | None:
    if obstacles.subscription_state in _WARNED:
        what = f"The subscription has the state {obstacles.subscription_state}: Azure will disable it."
        return warning(CHECK, what, SUBSCRIPTION.advice("", obstacles.address))
    if obstacles.storage_account:
        who = "has no role on it" if obstacles.without_role else "does not exist"
        what = f"The datastores accept identities only, and the identity of the configured compute {who}."
        hint = STORAGE_ROLE.hint
        if obstacles.address is not None:
            role, account = "Storage Blob Data Contributor", obstacles.storage_account
            hint += f"\n{az_assign_role(obstacles.address, role, obstacles.without_role, account)}"
        return warning(CHECK, what, hint)
    if obstacles.locks:
        what = f"The lock `{obstacles.locks[0].name}` prevents deletions, such as with `delete_compute_after`."
        return warning(CHECK, what, LOCK.advice("", obstacles.address))
    return None
