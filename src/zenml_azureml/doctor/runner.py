"""All checks of one step operator. A check whose facts depend on an unknown fact reports that it could not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from zenml_azureml.doctor import facts as stack
from zenml_azureml.doctor.checks import (
    architecture,
    artifact_store,
    compute,
    credentials,
    quota,
    registry,
    roles,
    server,
    versions,
    workspace,
)
from zenml_azureml.doctor.result import Finding, Problem, ok, unknown
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.settings.models import AzureMLStepOperatorSettings

if TYPE_CHECKING:
    from zenml_azureml.azure.arm.inspector import Inspector
    from zenml_azureml.azure.arm.models import Credential, InspectedCompute, InspectedWorkspace
    from zenml_azureml.azure.connection import WorkspaceAddress
    from zenml_azureml.doctor.checks.compute import ConfiguredCompute
    from zenml_azureml.doctor.checks.registry import StackRegistry
    from zenml_azureml.step_operator import AzureMLStepOperator

T = TypeVar("T")

#: Number of findings for a step operator.
NUMBER_OF_CHECKS = 11

_NO_STACK = Problem(
    "Skipped: no stack has this step operator.", "Add it to one: `zenml stack update NAME -s OPERATOR`."
)
_NOT_SIGNED_IN = Problem("Skipped: sign-in failed.")
_NO_WORKSPACE = Problem("Skipped: the workspace cannot be reached.")


def examine(operator: AzureMLStepOperator, cloud: str | None, now: datetime) -> Iterator[Finding]:
    """Run the checks, and yield each finding when it is known.

    Args:
        operator: The step operator.
        cloud: Name of the cloud that its workspace is in; None for the public one.
        now: The time.

    Raises:
        AzureMLSettingsError: If there is no such cloud.
    """
    yield versions.check_versions(stack.versions())
    space = operator.workspace(AzureMLStepOperatorSettings(cloud=cloud))
    jobs_run_here = not operator.config.is_remote
    found_stack = stack.stack_of(operator)
    registry_of_stack = stack.container_registry(found_stack) if found_stack else None
    azure = _Azure(space.inspector, stack.configured_compute(operator), space.address)
    yield credentials.check_credentials(azure.credential, stack.connector_expires_at(operator), now)
    yield workspace.check_workspace(space.address.name, azure.workspace, azure.run_history(), azure.obstacles())
    yield roles.check_roles(azure.roles())
    yield compute.check_compute(azure.computes, azure.configured, space.address)
    yield quota.check_quota_left(azure.quota())
    if jobs_run_here:
        yield from (ok(check, "Jobs run on this machine") for check in (registry.REACHABLE, registry.PULL))
    elif found_stack is None:
        yield from (unknown(check, _NO_STACK) for check in (registry.REACHABLE, registry.PULL))
    else:
        facts = azure.registry(registry_of_stack)
        yield registry.check_stack_registry(registry_of_stack) or registry.check_registry(facts)
        yield registry.check_pull(facts)
    store = stack.artifact_store(found_stack) if found_stack else _NO_STACK
    yield artifact_store.check_artifact_store(store, jobs_run_here=jobs_run_here)
    yield server.check_server(stack.server(), jobs_run_here=jobs_run_here)
    builder = stack.image_builder(found_stack) if found_stack else _NO_STACK
    yield architecture.check_architecture(builder, jobs_run_here=jobs_run_here)


@dataclass
class _Azure:
    """Facts from Azure, each requested once."""

    inspector: Inspector
    configured: ConfiguredCompute
    address: WorkspaceAddress

    def __post_init__(self) -> None:
        self.credential: Credential | Problem = _known(self.inspector.credential)
        self.workspace: InspectedWorkspace | Problem = _NOT_SIGNED_IN
        self.computes: tuple[InspectedCompute, ...] | Problem = _NOT_SIGNED_IN
        if isinstance(self.credential, Problem):
            return
        self.workspace = _known(self.inspector.workspace)
        self.computes = _NO_WORKSPACE if isinstance(self.workspace, Problem) else _known(self.inspector.computes)

    @property
    def _in_the_way(self) -> Problem | None:
        if isinstance(self.credential, Problem):
            return _NOT_SIGNED_IN
        return _NO_WORKSPACE if isinstance(self.workspace, Problem) else None

    @property
    def _existing(self) -> InspectedCompute | None:
        return None if isinstance(self.computes, Problem) else self.configured.among(self.computes)

    def run_history(self) -> str | Problem:
        problem = self._in_the_way
        return _known(self.inspector.run_history) if problem is None else problem

    def obstacles(self) -> workspace.Obstacles:
        if isinstance(self.credential, Problem):
            return workspace.Obstacles()
        state, provider = _known(self.inspector.subscription_state), _known(self.inspector.unregistered_provider)
        locks = _known(self.inspector.locks)
        return workspace.Obstacles(
            "" if isinstance(state, Problem) else state,
            "" if isinstance(provider, Problem) else provider,
            () if isinstance(locks, Problem) else locks,
            *self._storage_without_role(),
            self.address,
        )

    def _storage_without_role(self) -> tuple[str, str]:
        """Return the storage account that the configured compute cannot use, and its identity; empty if it can."""
        space, compute = self.workspace, self._existing
        if isinstance(space, Problem) or not space.storage_by_identity or not space.storage_account or compute is None:
            return "", ""
        for principal in compute.principal_ids:
            granted = _known(partial(self.inspector.may_write_blobs, space.storage_account, principal))
            if granted is not False:  # also if that cannot be read
                return "", ""
        return space.storage_account, next(iter(compute.principal_ids), "")

    def roles(self) -> roles.Roles | Problem:
        if isinstance(self.credential, Problem) or isinstance(self.workspace, Problem):
            return self._in_the_way or _NO_WORKSPACE
        permissions = _known(self.inspector.permissions)
        if isinstance(permissions, Problem):
            return permissions
        makes = self.configured.is_made and self._existing is None
        return roles.Roles(self.credential, permissions, self.address, makes)

    def quota(self) -> quota.QuotaFacts | Problem:
        if isinstance(self.workspace, Problem):
            return self._in_the_way or _NO_WORKSPACE
        location = self.workspace.location
        left = _known(lambda: self.inspector.quota(location))
        if isinstance(left, Problem):
            return left
        sizes = _known(lambda: self.inspector.sizes(location)) if self.configured.size else ()
        if isinstance(sizes, Problem):
            return sizes
        return quota.QuotaFacts(left, sizes, self.configured, exists=self._existing is not None)

    def registry(self, of_stack: StackRegistry | None) -> registry.RegistryFacts | Problem:
        if isinstance(self.workspace, Problem):
            return self._in_the_way or _NO_WORKSPACE
        space, existing = self.workspace, self._existing
        found = None
        if of_stack is not None and of_stack.is_azures and not of_stack.is_local:
            found = _known(lambda: self.inspector.registry(of_stack.host, space.container_registry))
        if isinstance(found, Problem):
            return found
        grants: dict[str, bool | None] = {}
        if found is not None:
            principals = (*space.principal_ids, *(existing.principal_ids if existing else ()))
            grants = {principal: self._may_pull(found.id, principal) for principal in principals}
        return registry.RegistryFacts(
            of_stack, found, space, existing, grants, serverless=not self.configured.name, address=self.address
        )

    def _may_pull(self, registry_id: str, principal_id: str) -> bool | None:
        granted = _known(lambda: self.inspector.may_pull(registry_id, principal_id))
        return None if isinstance(granted, Problem) else granted


def _known(ask: Callable[[], T]) -> T | Problem:
    try:
        return ask()
    except AzureMLError as error:
        return Problem.of(error)
