"""Read-only queries about a workspace and its surroundings, with one or few requests each.

They use Resource Manager for what `MLClient` lacks: roles, container registries, the identities of computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError

from zenml_azureml.azure.arm.client import (
    AUTHORIZATION,
    COMPUTES,
    LOCKS,
    PROVIDERS,
    REGISTRIES,
    SUBSCRIPTIONS,
    WORKSPACES,
    ResourceManager,
)
from zenml_azureml.azure.arm.models import (
    Credential,
    InspectedCompute,
    InspectedRegistry,
    InspectedWorkspace,
    Lock,
    managed_identities,
)
from zenml_azureml.azure.arm.permissions import PULL, WRITE_BLOBS, Permission, missing
from zenml_azureml.azure.auth.token_claims import signed_in_as
from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.sizes.parsing import quota_rows, vm_size
from zenml_azureml.azure.sizes.quota import Quota
from zenml_azureml.azure.sizes.vm_size import VmSize

#: The resource provider of Azure Machine Learning.
_PROVIDER = "Microsoft.MachineLearningServices"

_KINDS = {"ComputeInstance": "compute instance", "AmlCompute": "compute cluster"}


class Inspector:
    """Read-only queries about one workspace. Thread-safe, as its connection is; has no state.

    Args:
        connection: The workspace.
    """

    def __init__(self, connection: WorkspaceConnection) -> None:
        self._connection = connection
        self._manager = ResourceManager(connection)
        self._address = connection.address

    def credential(self) -> Credential:
        """Return the credential that is signed in.

        Raises:
            AzureMLError: If the sign-in fails.
        """
        with self._explained("sign in"):
            credential = self._connection.credential
            source = credential.describe()  # before the sign-in: `who` has the identity afterwards
            token = credential.get_token(self._connection.cloud.token_scope)
            who = signed_in_as(token.token)
            return Credential(
                source=source,
                who=who.who if who else "",
                is_user=bool(who and who.is_user),
                object_id=who.object_id if who else "",
                expires_at=datetime.fromtimestamp(token.expires_on, timezone.utc),
            )

    def workspace(self) -> InspectedWorkspace:
        """Return the workspace itself.

        Raises:
            AzureMLError: If it cannot be reached or read.
        """
        with self._explained("read the workspace"):
            body = self._manager.get(self._address.path, WORKSPACES)
        properties = body.get("properties") or {}
        network = (properties.get("managedNetwork") or {}).get("isolationMode")
        return InspectedWorkspace(
            path=self._address.path,
            location=str(body.get("location") or ""),
            provisioning_state=str(properties.get("provisioningState") or ""),
            is_public=properties.get("publicNetworkAccess") != "Disabled",
            has_managed_network=network not in (None, "Disabled"),
            container_registry=str(properties.get("containerRegistry") or ""),
            principal_ids=tuple(identity.object_id for identity in managed_identities(body)),
            storage_account=str(properties.get("storageAccount") or ""),
            # Source: "Workspaces - Get", 2024-10-01: `AccessKey`, `Identity` or `UserDelegationSAS`.
            storage_by_identity=str(properties.get("systemDatastoresAuthMode") or "").lower() == "identity",
        )

    def may_write_blobs(self, storage_id: str, principal_id: str) -> bool | None:
        """Return True if an identity may write to a storage account; None if the credential may not read its roles.

        Args:
            storage_id: ARM id of the storage account.
            principal_id: Object id of the identity.

        Raises:
            AzureMLError: If Azure cannot be reached or refuses.
        """
        with self._explained("read the roles on the storage account"):
            held = self._manager.permissions_of(principal_id, storage_id)
        return None if held is None else any(permission.allows_data(WRITE_BLOBS) for permission in held)

    def subscription_state(self) -> str:
        """Return the state of the subscription, e.g. `Enabled` or `Disabled`.

        Raises:
            AzureMLError: If it cannot be read.
        """
        path = f"/subscriptions/{self._address.subscription_id}"
        with self._explained("read the subscription"):
            return str(self._manager.get(path, SUBSCRIPTIONS).get("state") or "")

    def unregistered_provider(self) -> str:
        """Return the resource provider that has to be registered in the subscription; empty if it is registered.

        Raises:
            AzureMLError: If that cannot be read, for which the credential needs a role on the subscription.
        """
        path = f"/subscriptions/{self._address.subscription_id}/providers/{_PROVIDER}"
        with self._explained("read the resource provider"):
            state = str(self._manager.get(path, PROVIDERS).get("registrationState") or "Registered")
        return "" if state in ("Registered", "Registering") else _PROVIDER

    def locks(self) -> tuple[Lock, ...]:
        """Return the locks that apply to the workspace: on it, and on its resource group.

        Raises:
            AzureMLError: If they cannot be listed.
        """
        group = self._address.path.partition("/providers/")[0]
        found: dict[str, Lock] = {}
        with self._explained("list the locks"):
            for scope in (group, self._address.path):
                for body in self._manager.items(f"{scope}/providers/Microsoft.Authorization/locks", LOCKS):
                    lock_id = str(body.get("id") or "")
                    # The list of a group has the locks of everything in it.
                    of = lock_id.lower().partition("/providers/microsoft.authorization/locks")[0]
                    if of in ("", group.lower(), self._address.path.lower()):
                        level = str((body.get("properties") or {}).get("level") or "")
                        found[lock_id] = Lock(str(body.get("name") or ""), level.lower() == "readonly")
        return tuple(found.values())

    def run_history(self) -> str:
        """Return the address of run history, which has the logs and the causes of failures.

        Raises:
            AzureMLError: If it cannot be found.
        """
        with self._explained("find run history"):
            return self._connection.run_history_url

    def permissions(self) -> tuple[Permission, ...]:
        """Return the permissions of the credential's roles in the workspace.

        Raises:
            AzureMLError: If they cannot be listed.
        """
        path = f"{self._address.path}/providers/Microsoft.Authorization/permissions"
        with self._explained("list the credential's permissions"):
            return tuple(Permission.of(body) for body in self._manager.items(path, AUTHORIZATION))

    def computes(self) -> tuple[InspectedCompute, ...]:
        """Return the computes of the workspace.

        Raises:
            AzureMLError: If they cannot be listed.
        """
        with self._explained("list the computes"):
            return tuple(_compute(body) for body in self._manager.items(f"{self._address.path}/computes", COMPUTES))

    def sizes(self, location: str) -> tuple[VmSize, ...]:
        """Return the VM sizes of a region.

        Raises:
            AzureMLError: If they cannot be listed.
        """
        with self._explained("list the VM sizes", hint=self._how_to_read_quota()):
            return tuple(vm_size(item) for item in self._connection.client.compute.list_sizes(location=location))

    def quota(self, location: str) -> Quota:
        """Return the subscription's quota in a region.

        Raises:
            AzureMLError: If it cannot be listed.
        """
        with self._explained("list the quota", hint=self._how_to_read_quota()):
            listed = list(self._connection.client.compute.list_usage(location=location))
        rows = tuple(row for item in listed for row in quota_rows(item))
        return Quota(location, rows, f"{self._connection.cloud.studio}/quota")

    def registry(self, host: str, own: str) -> InspectedRegistry | None:
        """Return the container registry with a host name; None if the credential sees none.

        Args:
            host: E.g. `team.azurecr.io`.
            own: ARM id of the workspace's own registry, which may be in another subscription; empty for none.

        Raises:
            AzureMLError: If registries cannot be listed.
        """
        path = f"/subscriptions/{self._address.subscription_id}/providers/Microsoft.ContainerRegistry/registries"
        with self._explained(f"find the container registry `{host}`"):
            if own and own.rpartition("/")[2].lower() == host.partition(".")[0].lower():
                return _registry(self._manager.get(own, REGISTRIES))
            for body in self._manager.items(path, REGISTRIES):
                if str((body.get("properties") or {}).get("loginServer")).lower() == host.lower():
                    return _registry(body)
        return None

    def may_pull(self, registry_id: str, principal_id: str) -> bool | None:
        """Return True if an identity may pull from a container registry; None if the credential may not read its roles.

        Args:
            registry_id: ARM id of the registry.
            principal_id: Object id of the identity.

        Raises:
            AzureMLError: If Azure cannot be reached or refuses.
        """
        with self._explained("read the roles on the container registry"):
            held = self._manager.permissions_of(principal_id, registry_id)
        return None if held is None else not missing(held, [PULL])

    @contextmanager
    def _explained(self, action: str, *, hint: str = "") -> Iterator[None]:
        try:
            with self._connection.reading():
                yield
        except AzureError as error:
            refused = isinstance(error, HttpResponseError) and error.status_code == 403
            raise to_azureml_error(action, error, self._address, hint=hint if refused else "") from error

    def _how_to_read_quota(self) -> str:
        return (
            "Sizes and quota belong to the subscription: have an owner assign the credential a role such as Reader on "
            f"/subscriptions/{self._address.subscription_id}."
        )


def _compute(body: Mapping[str, Any]) -> InspectedCompute:
    outer = body.get("properties") or {}
    inner = outer.get("properties") or {}
    kind, provisioning = str(outer.get("computeType") or ""), str(outer.get("provisioningState") or "Unknown")
    is_cluster = kind == "AmlCompute"
    state = inner.get("allocationState") if is_cluster else inner.get("state")
    errors = [*(outer.get("provisioningErrors") or ()), *(inner.get("errors") or ())]
    return InspectedCompute(
        name=str(body.get("name")),
        kind=_KINDS.get(kind, kind),
        size=str(inner.get("vmSize") or ""),
        state=str(state) if state and (provisioning == "Succeeded" or not is_cluster) else provisioning,
        nodes=int(inner.get("currentNodeCount") or 0) if is_cluster else None,
        max_nodes=int((inner.get("scaleSettings") or {}).get("maxNodeCount") or 0) if is_cluster else None,
        errors=" ".join(str((one.get("error") or one).get("message") or "") for one in errors).strip(),
        has_subnet=bool(inner.get("subnet")),
        principal_ids=tuple(identity.object_id for identity in managed_identities(body)),
    )


def _registry(body: Mapping[str, Any]) -> InspectedRegistry:
    properties = body.get("properties") or {}
    return InspectedRegistry(
        id=str(body.get("id")),
        host=str(properties.get("loginServer") or "").lower(),
        provisioning_state=str(properties.get("provisioningState") or ""),
        is_public=properties.get("publicNetworkAccess") != "Disabled",
        only_some_addresses=(properties.get("networkRuleSet") or {}).get("defaultAction") == "Deny",
        has_admin_user=bool(properties.get("adminUserEnabled")),
        lets_anybody_pull=bool(properties.get("anonymousPullEnabled")),
    )
