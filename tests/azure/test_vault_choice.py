"""Which key vault takes the secrets of a job, which identity reads them there, and how access is given."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError

from tests.azure.test_known_vaults import Credential, Vaults
from zenml_azureml.azure.arm.client import ResourceManager
from zenml_azureml.azure.arm.permissions import Permission
from zenml_azureml.azure.compute.provisioner import ComputeTarget
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.keyvault.access import READER, WRITER, FoundVault, Reader, find_vault, may_read, reader_of
from zenml_azureml.clouds import CLOUDS
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.specs.job import JobIdentity

ADDRESS = WorkspaceAddress(str(uuid4()), "group", "workspace", CLOUDS["AzureCloud"])
TEAM = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/Team-Secrets"
TEAM_URL = "https://team-secrets.vault.azure.net"


def vault(path: str = TEAM, url: str = f"{TEAM_URL}/", **properties: Any) -> dict[str, Any]:
    return {"id": path, "properties": {"vaultUri": url, **properties}}


def identity(name: str) -> str:
    return f"/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"


def refusal(status: int) -> HttpResponseError:
    error = HttpResponseError(f"HTTP {status}")
    error.status_code = status
    return error


class Manager:
    """Resource Manager.

    Attributes:
        answer: The resource that it returns, or the error.
        listed: The vaults of the subscription, or the error.
        asked: The paths of the requests.
    """

    def __init__(self) -> None:
        self.answer: dict[str, Any] | HttpResponseError = {}
        self.listed: list[dict[str, Any]] | HttpResponseError = []
        self.asked: list[str] = []
        self.permissions: list[Permission] | None = []

    def get(self, path: str, _version: str) -> dict[str, Any]:
        self.asked.append(path)
        if isinstance(self.answer, HttpResponseError):
            raise self.answer
        return self.answer

    def items(self, path: str, _version: str) -> Any:
        self.asked.append(path)
        if isinstance(self.listed, HttpResponseError):
            raise self.listed
        return iter(self.listed)

    def permissions_of(self, principal_id: str, scope: str) -> list[Permission] | None:
        self.asked.append(f"{principal_id} at {scope}")
        return self.permissions


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    manager = Manager()
    for name in ("get", "items"):
        method = getattr(manager, name)
        monkeypatch.setattr(ResourceManager, name, lambda _self, *given, method=method: method(*given))
    monkeypatch.setattr(WorkspaceConnection, "key_vault_id", "/vaults/own")
    return manager


def found(named: str | None) -> FoundVault:
    return find_vault(WorkspaceConnection(ADDRESS, Credential, Vaults()), named)


def test_the_workspaces_own_vault_is_the_default(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    manager.answer = vault("/vaults/own", "https://own.vault.azure.net/", enableRbacAuthorization=True)

    assert found(None) == FoundVault("https://own.vault.azure.net", "/vaults/own", uses_roles=True)
    assert manager.asked == ["/vaults/own"]
    monkeypatch.setattr(WorkspaceConnection, "key_vault_id", "")
    with pytest.raises(AzureMLError, match=r"The workspace `workspace` has no key vault\..*(?s:.)*`key_vault`"):
        found(None)


@pytest.mark.parametrize("named", ["team-secrets", "TEAM-secrets", TEAM_URL, f"{TEAM_URL.upper()}/"])
def test_a_vault_of_the_subscription_is_found_by_its_name_or_its_address(named: str, manager: Manager) -> None:
    other = vault(TEAM.replace("Team", "Other"), "https://other-secrets.vault.azure.net")
    manager.listed = [other, vault(), other]

    assert found(named) == FoundVault(TEAM_URL, TEAM, uses_roles=False)
    assert manager.asked == [f"/subscriptions/{ADDRESS.subscription_id}/providers/Microsoft.KeyVault/vaults"]


@pytest.mark.parametrize(
    ("named", "body"),
    [
        ("team-secrets", vault(url="https://elsewhere.example/")),  # the name of the resource is enough
        (TEAM_URL, vault(TEAM.replace("Team", "Other"))),  # and so is its address
    ],
)
def test_one_of_name_and_address_is_enough(named: str, body: dict[str, Any], manager: Manager) -> None:
    manager.listed = [body]

    assert found(named).id == body["id"]


@pytest.mark.parametrize("listed", [[], [vault(TEAM.replace("Team", "Other"), "https://o.example/")], refusal(403)])
@pytest.mark.parametrize("named", ["Team-Secrets", f"{TEAM_URL}/"])
def test_a_vault_that_is_not_listed_is_at_its_address(named: str, listed: Any, manager: Manager) -> None:
    manager.listed = listed

    assert found(named) == FoundVault(TEAM_URL, "", uses_roles=None)
    assert found(named).name == "team-secrets.vault.azure.net"


def test_a_vault_whose_resource_may_not_be_read_is_at_the_address_of_its_name(manager: Manager) -> None:
    manager.answer = refusal(403)

    assert found(TEAM) == FoundVault(TEAM_URL, TEAM, uses_roles=None)
    assert found(TEAM).name == "Team-Secrets"


@pytest.mark.parametrize("named", [TEAM, "team-secrets"])
def test_another_error_is_no_answer(named: str, manager: Manager) -> None:
    manager.answer = manager.listed = refusal(404)

    with pytest.raises(HttpResponseError, match="HTTP 404"):
        found(named)


@pytest.mark.parametrize(
    ("secrets", "reads"),
    [(["get"], True), (["Get", "list"], True), (["ALL"], True), (["list", "set"], False), (None, False)],
)
def test_the_readers_are_those_whose_access_policy_lets_them_get_secrets(
    secrets: list[str] | None, reads: bool, manager: Manager
) -> None:
    policies = [{"objectId": "me", "permissions": {"keys": ["get"], "secrets": secrets}}, {"objectId": "bare"}]
    manager.answer = vault(accessPolicies=policies, enableRbacAuthorization=False)

    assert found(TEAM).readers == ({"me"} if reads else set())
    assert may_read(cast("Any", manager), found(TEAM), Reader("the job", "me")) is reads
    assert not any(" at " in path for path in manager.asked)


@pytest.mark.parametrize(("uses_roles", "vault_id"), [(True, TEAM), (None, TEAM), (True, ""), (None, "")])
@pytest.mark.parametrize("allowed", [True, False, None])
def test_roles_are_asked_for_at_a_vault_whose_resource_is_known(
    uses_roles: bool | None, vault_id: str, allowed: bool | None, manager: Manager
) -> None:
    reading = Permission((), data_actions=("Microsoft.KeyVault/vaults/secrets/*",))
    manager.permissions = None if allowed is None else [Permission(()), reading] if allowed else [Permission(())]

    answer = may_read(cast("Any", manager), FoundVault(TEAM_URL, vault_id, uses_roles), Reader("the job", "me"))

    assert answer is (allowed if vault_id else None)
    assert manager.asked == ([f"me at {TEAM}"] if vault_id else [])


def test_how_access_is_given_names_the_role_or_the_permissions() -> None:
    by_roles, by_policies = FoundVault(TEAM_URL, TEAM, uses_roles=True), FoundVault(TEAM_URL, TEAM, uses_roles=False)

    def how(vault: FoundVault, *, write: bool, is_user: bool = False) -> str:
        return vault.how_to_let("the job", "me", ADDRESS, write=write, is_user=is_user)

    assert how(by_roles, write=True).startswith(
        f"Assign the role `{WRITER}` on the key vault `Team-Secrets` to the job:\n"
    )
    assert f'--role "{READER}" --assignee-object-id me' in how(by_roles, write=False)
    assert f"--scope {TEAM}" in how(by_roles, write=False)
    assert "--scope VAULT_ID" in how(FoundVault(TEAM_URL), write=False)
    assert "User" in how(by_roles, write=True, is_user=True).partition("--assignee-principal-type")[2]
    assert "ServicePrincipal" in how(by_roles, write=True).partition("--assignee-principal-type")[2]
    assert how(by_policies, write=False).startswith("Allow the job to read secrets of the key vault `Team-Secrets`:\n")
    assert how(by_policies, write=False).endswith("--secret-permissions get")
    assert how(by_policies, write=True).startswith("Allow the job to write and delete secrets of")
    assert how(by_policies, write=True).endswith("--secret-permissions set get list delete")


def cluster(*names: str, system: bool = False) -> dict[str, Any]:
    assigned = {identity(name): {"principalId": f"object-{name}", "clientId": f"client-{name}"} for name in names}
    return {"identity": {"principalId": "own" if system else None, "userAssignedIdentities": assigned}}


GPUS, SERVERLESS = ComputeTarget("gpus", "compute-cluster"), ComputeTarget(None, None)


def reader(manager: Manager, target: ComputeTarget, requested: JobIdentity | None) -> Reader:
    return reader_of(cast("Any", manager), ADDRESS, target, requested)


@pytest.mark.parametrize(
    ("body", "requested", "expected"),
    [
        (cluster(system=True), None, Reader("the identity of `gpus`", "own")),
        (cluster("a", "b", system=True), JobIdentity("managed"), Reader("the identity of `gpus`", "own")),
        (cluster("a", "b"), None, Reader("the identity `a`", "object-a")),
        (cluster("a", "b", system=True), JobIdentity("managed", "client-b"), Reader("the identity `b`", "object-b")),
    ],
    ids=["system", "system first", "first", "by client id"],
)
def test_a_job_on_a_compute_reads_with_an_identity_of_the_compute(
    body: dict[str, Any], requested: JobIdentity | None, expected: Reader, manager: Manager
) -> None:
    manager.answer = body

    assert reader(manager, GPUS, requested) == expected
    assert manager.asked == [f"{ADDRESS.path}/computes/gpus"]


@pytest.mark.parametrize(
    ("own", "requested", "expected"),
    [
        (identity("b").upper(), JobIdentity("managed"), "b"),
        (None, JobIdentity("managed"), "a"),
        (identity("b"), JobIdentity("managed", "client-a"), "a"),
    ],
    ids=["primary", "none is primary", "by client id"],
)
def test_a_job_on_serverless_compute_reads_with_an_identity_of_the_workspace(
    own: str | None, requested: JobIdentity, expected: str, manager: Manager
) -> None:
    manager.answer = {**cluster("a", "b", system=True), "properties": {"primaryUserAssignedIdentity": own}}

    assert reader(manager, SERVERLESS, requested) == Reader(f"the identity `{expected}`", f"object-{expected}")
    assert manager.asked == [ADDRESS.path]


@pytest.mark.parametrize(
    ("target", "body", "requested", "words"),
    [
        (GPUS, cluster(), None, "A job on the compute cluster `gpus` has no managed identity to read secrets"),
        (
            GPUS,
            cluster(),
            JobIdentity("managed", "x"),
            "A job on the compute cluster `gpus` has no managed identity to",
        ),
        (
            GPUS,
            cluster("a"),
            JobIdentity("managed", "x"),
            "`gpus` has no managed identity with the client id x to read",
        ),
        (
            SERVERLESS,
            cluster(system=True),
            JobIdentity("managed"),
            "A job on serverless compute has no managed identity",
        ),
    ],
)
def test_a_job_without_an_identity_that_can_read_is_refused_with_what_to_add(
    target: ComputeTarget, body: dict[str, Any], requested: JobIdentity | None, words: str, manager: Manager
) -> None:
    manager.answer = body

    with pytest.raises(AzureMLError) as refused:
        reader(manager, target, requested)

    assert words in str(refused.value)
    expected = (
        "Add a user-assigned identity to the workspace" if target is SERVERLESS else "az ml compute update --name gpus"
    )
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("target", "requested"),
    [(GPUS, JobIdentity("user")), (SERVERLESS, JobIdentity("aml_token")), (SERVERLESS, None)],
)
def test_a_spec_that_shows_that_nothing_can_be_read_costs_no_request(
    target: ComputeTarget, requested: JobIdentity | None, manager: Manager
) -> None:
    with pytest.raises(AzureMLError, match="has no managed identity to read secrets from a key vault with"):
        reader(manager, target, requested)

    assert manager.asked == []
