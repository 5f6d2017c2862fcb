"""`doctor`: versions, credentials, workspace, roles. Each check fails here once, in exactly these words."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from zenml_azureml.azure.arm.models import Credential, InspectedWorkspace
from zenml_azureml.azure.arm.permissions import Permission, missing
from zenml_azureml.azure.connection import WorkspaceAddress
from zenml_azureml.clouds import AZURE
from zenml_azureml.doctor.checks.credentials import check_credentials
from zenml_azureml.doctor.checks.roles import FOR_COMPUTE, FOR_JOBS, Roles, check_roles
from zenml_azureml.doctor.checks.versions import Versions, check_versions
from zenml_azureml.doctor.checks.workspace import check_workspace
from zenml_azureml.doctor.result import Finding, Problem, Status
from zenml_azureml.exceptions import AzureMLError

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
SCOPE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
ADA = Credential(
    source="what the environment offers (DefaultAzureCredential)",
    who="`ada@example.org` by the Azure CLI",
    is_user=True,
    object_id="ada-id",
    expires_at=NOW + timedelta(hours=1),
)
VERSIONS = Versions(
    python="3.11.7",
    own="1.0",
    installed={"zenml": "0.98.0", "azure-ai-ml": "1.35.2", "rich": "15.0.0"},
    wanted={"zenml": "<1,>=0.96", "azure-ai-ml": "<2,>=1.35", "rich": ">=12"},
    is_ours=True,
)
ADDRESS = WorkspaceAddress("s", "g", "w", AZURE)
WORKSPACE = InspectedWorkspace(SCOPE, "westeurope", "Succeeded", True, False, "", ("workspace-id",))
SCIENTIST = Permission(
    tuple(f"Microsoft.MachineLearningServices/workspaces/*/{verb}" for verb in ("read", "action", "delete", "write")),
    (
        "Microsoft.MachineLearningServices/workspaces/write",
        "Microsoft.MachineLearningServices/workspaces/computes/*/write",
    ),
)
OWNER = Permission(("*",))


def roles(*permissions: Permission, makes_compute: bool = False) -> Roles:
    return Roles(ADA, permissions, ADDRESS, makes_compute)


def test_versions_that_fit_are_told() -> None:
    assert check_versions(VERSIONS) == Finding(
        "versions", Status.OK, "zenml-azureml 1.0, zenml 0.98.0, azure-ai-ml 1.35.2, Python 3.11.7"
    )


def test_a_version_that_does_not_fit_fails_with_the_command_that_installs_one_that_does() -> None:
    facts = replace(VERSIONS, installed={"zenml": "0.93.0", "azure-ai-ml": None, "rich": "15.0.0"})

    assert check_versions(facts) == Finding(
        "versions",
        Status.FAILED,
        "zenml-azureml 1.0 needs zenml<1,>=0.96, azure-ai-ml<2,>=1.35; installed: zenml 0.93.0, azure-ai-ml is "
        "missing.",
        "Run: pip install 'zenml<1,>=0.96' 'azure-ai-ml<2,>=1.35'",
    )


def test_the_built_in_flavor_in_the_place_of_ours_fails() -> None:
    assert check_versions(replace(VERSIONS, is_ours=False, source="'/home/me/a b'")) == Finding(
        "versions",
        Status.FAILED,
        "ZenML's built-in `azureml` step operator is in use, not that of zenml-azureml.",
        "Run: pip install --force-reinstall --no-deps '/home/me/a b'. A warning at `import zenml` shows the cause.",
    )


def test_a_server_of_another_version_is_a_warning() -> None:
    found = check_versions(replace(VERSIONS, server="0.97.0"))

    assert (found.status, found.found) == (
        Status.WARNING,
        "The ZenML client has version 0.98.0, its server has version 0.97.0.",
    )
    assert found.hint == "Use one version: pip install 'zenml==0.97.0', or update the server."


def test_who_has_signed_in_and_until_when_is_told() -> None:
    assert check_credentials(ADA, None, NOW) == Finding(
        "credentials",
        Status.OK,
        "What the environment offers (DefaultAzureCredential) signs in as `ada@example.org` by the Azure CLI; its "
        "token "
        "expires at 2026-05-01 13:00 UTC and is renewed",
    )


def test_a_refused_credential_fails_in_azures_words() -> None:
    error = AzureMLError(
        "Failed to sign in in the Azure ML workspace `w`: the service connector `c` could not sign in.",
        azure_message="AADSTS7000222: The provided client secret keys are expired.",
        hint="Give it other credentials: `zenml service-connector update c --interactive`.",
    )

    assert check_credentials(Problem.of(error), None, NOW) == Finding(
        "credentials",
        Status.FAILED,
        "Failed to sign in in the Azure ML workspace `w`: the service connector `c` could not sign in. Azure: "
        "AADSTS7000222: The provided client secret keys are expired.",
        "Give it other credentials: `zenml service-connector update c --interactive`.",
    )


def test_a_connector_that_ends_soon_is_a_warning_and_later_is_told() -> None:
    soon = check_credentials(ADA, NOW + timedelta(minutes=30), NOW)
    later = check_credentials(ADA, NOW + timedelta(days=30), NOW)

    assert soon.status is Status.WARNING
    assert "expires for good at 2026-05-01 12:30 UTC. After that, jobs keep running, but cannot be" in soon.found
    assert later.status is Status.OK
    assert later.found.endswith("; the connector expires at 2026-05-31 12:00 UTC")


def test_a_workspace_that_cannot_be_reached_fails() -> None:
    problem = Problem("Looking at the workspace failed. Azure: (ResourceNotFound) Not found.", "Check the name.")

    assert check_workspace("w", WORKSPACE, "https://history") == Finding(
        "workspace", Status.OK, "`w` in westeurope, with its run history"
    )
    assert check_workspace("w", problem, problem) == Finding("workspace", Status.FAILED, problem.what, problem.hint)


def test_a_workspace_that_was_not_made_well_fails() -> None:
    assert check_workspace("w", replace(WORKSPACE, provisioning_state="Failed"), "https://history") == Finding(
        "workspace",
        Status.FAILED,
        "The workspace `w` exists, but its provisioning has failed.",
        f"For the cause, see *Deployments* of its resource group in the Azure portal: {SCOPE}",
    )


@pytest.mark.parametrize(
    ("is_public", "hint"),
    [
        (True, "Look at the proxy."),
        (False, "Connect this machine to the workspace's own services: by a private endpoint, a VPN or a proxy."),
    ],
)
def test_without_run_history_there_are_no_logs(is_public: bool, hint: str) -> None:
    found = check_workspace("w", replace(WORKSPACE, is_public=is_public), Problem("No answer.", "Look at the proxy."))

    assert found == Finding(
        "workspace",
        Status.WARNING,
        "The workspace `w` exists, but its run history cannot be reached from this machine, so jobs have no log and no "
        "cause of failure. No answer.",
        hint,
    )


def test_enough_roles_are_well() -> None:
    assert check_roles(roles(OWNER)) == Finding(
        "roles", Status.OK, "May submit, watch and cancel jobs, and create and start computes"
    )


def test_without_a_role_for_jobs_it_fails_with_the_command_that_assigns_one() -> None:
    assert check_roles(roles(Permission(("*/read",)))) == Finding(
        "roles",
        Status.FAILED,
        "`ada@example.org` by the Azure CLI may not run jobs in the workspace: no role allows "
        "workspaces/environments/versions/write, workspaces/jobs/write, workspaces/jobs/cancel/action.",
        'Have an owner of the workspace run: az role assignment create --role "AzureML Data Scientist" '
        f"--assignee-object-id ada-id --assignee-principal-type User --scope {SCOPE} "
        "--subscription s. Role assignments can take a few minutes to take effect.",
    )


def test_without_a_role_for_computes_it_fails_where_one_has_to_be_made() -> None:
    assert check_roles(roles(SCIENTIST, makes_compute=True)) == Finding(
        "roles",
        Status.FAILED,
        "`ada@example.org` by the Azure CLI may run jobs, but not create or start computes: no role allows "
        "workspaces/computes/write.",
        'Have an owner of the workspace run: az role assignment create --role "AzureML Compute Operator" '
        f"--assignee-object-id ada-id --assignee-principal-type User --scope {SCOPE} "
        "--subscription s. Role assignments can take a few minutes to take effect.",
    )


def test_without_a_role_for_computes_serverless_steps_still_run() -> None:
    found = check_roles(roles(SCIENTIST))

    assert found.status is Status.WARNING
    assert found.found.endswith("Serverless compute and running computes can be used.")


def test_both_roles_are_named_where_both_are_missing() -> None:
    found = check_roles(roles(makes_compute=True))

    assert found.status is Status.FAILED
    assert '--role "AzureML Data Scientist"' in found.hint
    assert '--role "AzureML Compute Operator"' in found.hint


def test_what_one_role_takes_away_another_one_gives() -> None:
    operator = Permission(("Microsoft.MachineLearningServices/workspaces/computes/*",))

    assert missing([SCIENTIST], FOR_JOBS) == []
    assert missing([SCIENTIST, operator], FOR_COMPUTE) == []


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("*", "a/b/read", True),
        ("*/READ", "a/b/read", True),
        ("a/*/read", "a/read", True),
        ("a/*/read", "a/b/c/read", True),
        ("a/*/read", "ab/read", False),
        ("a/*", "a/b/write", True),
        ("a.b/read", "axb/read", False),
    ],
)
def test_wildcards_match_as_in_azures_own_roles(pattern: str, action: str, matches: bool) -> None:
    assert Permission((pattern,)).allows(action) is matches


def test_what_cannot_be_looked_at_is_neither_well_nor_failed() -> None:
    problem = Problem("Skipped: sign-in failed.")

    assert check_roles(problem) == Finding("roles", Status.UNKNOWN, problem.what)
