"""`zenml-azureml doctor`: a line for each thing that steps on Azure ML need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.e2e.conftest import Project, project_at
from tests.e2e.killed import azureml
from zenml_azureml.doctor.runner import NUMBER_OF_CHECKS
from zenml_azureml.emulator import Emulator

CHECKS = [
    *("versions", "credentials", "workspace", "roles", "compute", "quota"),
    *("container registry", "image pull", "artifact store", "ZenML server", "image architecture"),
]


def examined(project: Project, *arguments: str, code: int) -> dict[str, dict[str, Any]]:
    """What `doctor --json` says of the one step operator, by the name of the check."""
    done = azureml(project, "doctor", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    (report,) = json.loads(done.stdout)
    assert (report["operator"], report["workspace"]) == ("azureml", "emulator")
    return {found["check"]: found for found in report["checks"]}


@pytest.mark.long
def test_where_all_is_well_each_check_has_one_line(simulated_project: Project, emulator: Emulator) -> None:
    Arm(emulator).call("PUT", "computes/dev", _instance())
    simulated_project.environment["COLUMNS"] = "40"

    done = azureml(simulated_project, "doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    heading, _, *lines, _, summary = done.stdout.splitlines()
    assert len(lines) == NUMBER_OF_CHECKS
    assert heading == "Step operator azureml, workspace emulator"
    assert [line[2:20].strip() for line in lines] == CHECKS
    told = dict(zip(CHECKS, lines, strict=True))
    signed_in_with = "The credentials of the environment (DefaultAzureCredential)"
    assert told["credentials"].startswith(f"✓ credentials         {signed_in_with} ")
    assert f"the application `{emulator.client_id}` of tenant `{emulator.tenant_id}`; its token" in told["credentials"]
    assert "`dev` (STANDARD_DS3_V2, Running); steps use serverless compute" in told["compute"]
    assert "ok" in summary
    assert "failed" not in summary


def test_a_role_that_is_missing_fails_it_and_is_named_with_the_command_that_gives_it(
    simulated_project: Project, emulator: Emulator
) -> None:
    Arm(emulator).call("POST", "/_emulator/roles", {"roles": ["AzureML Compute Operator", "Reader"]})

    found = examined(simulated_project, code=1)

    assert list(found) == CHECKS
    object_id, workspace = emulator.context.identity.object_id, emulator.context.store.workspaces[0]
    assert found["roles"] == {
        "check": "roles",
        "status": "failed",
        "found": f"The application `{emulator.client_id}` of tenant `{emulator.tenant_id}` may not run jobs in the "
        "workspace: no role allows workspaces/environments/versions/write, workspaces/jobs/write, "
        "workspaces/jobs/cancel/action.",
        "do_next": 'Have an owner of the workspace run: az role assignment create --role "AzureML Data Scientist" '
        f"--assignee-object-id {object_id} --assignee-principal-type ServicePrincipal --scope {workspace.path} "
        f"--subscription {workspace.subscription_id}. Role assignments can take a few minutes to take effect.",
    }
    assert found["quota"]["status"] == "unknown"
    assert found["workspace"]["status"] == found["compute"]["status"] == "ok"


def test_who_cannot_sign_in_is_told_what_could_not_be_looked_at(simulated_project: Project) -> None:
    simulated_project.environment["AZURE_CLIENT_ID"] = "11111111-1111-1111-1111-111111111111"

    found = examined(simulated_project, "--operator", "azureml", code=1)

    assert found["credentials"]["status"] == "failed"
    assert "could not sign in" in found["credentials"]["found"]
    assert "AADSTS" in found["credentials"]["found"]
    assert found["roles"]["found"] == found["compute"]["found"] == "Skipped: sign-in failed."
    assert found["artifact store"]["status"] == "ok"


def test_on_azure_itself_what_is_on_this_machine_fails(
    tmp_path: Path, zenml_with_stack: Path, proxied: Emulator
) -> None:
    project = project_at(tmp_path, zenml_with_stack, proxied)
    del project.environment["AZUREML_DEV_URL_MFE"]  # its proxy answers for Azure's own addresses
    subscription = proxied.context.store.workspaces[0].subscription_id
    registry = (
        f"/subscriptions/{subscription}/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/example"
    )
    arm = Arm(proxied)
    assert arm.call("PUT", registry, {"location": "westeurope"}, api_version="2023-07-01").status == 201

    found = examined(project, code=1)

    assert {check for check, one in found.items() if one["status"] == "failed"} >= {
        "image pull",
        "artifact store",
        "ZenML server",
    }
    assert found["container registry"]["found"] == (
        "`example.azurecr.io` is open to the public network; it is not the workspace's own"
    )
    assert found["image pull"]["found"] == "The identity of the workspace may not pull from `example.azurecr.io`."
    assert found["ZenML server"]["found"] == (
        "There is no server: ZenML uses a database on this machine, which jobs cannot reach."
    )


def test_a_configured_compute_that_is_missing_fails(simulated_project: Project) -> None:
    changed = simulated_project.zenml("step-operator", "update", "azureml", "--compute_target_name=gone")
    assert changed.returncode == 0, changed.stderr

    found = examined(simulated_project, code=1)

    assert found["compute"]["found"] == (
        "The workspace has no compute `gone`, which is the `compute_target_name` of the step operator."
    )


def _instance() -> dict[str, Any]:
    inner = {"computeType": "ComputeInstance", "properties": {"vmSize": "Standard_DS3_v2"}}
    return {"location": "westeurope", "properties": inner}


@pytest.mark.long
def test_images_are_for_what_the_latest_run_on_the_stack_asked_for(simulated_project: Project, tmp_path: Path) -> None:
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\necho arm64\n")
    engine.chmod(0o755)
    simulated_project.environment["PATH"] = f"{engine.parent}:{simulated_project.environment['PATH']}"
    simulated_project.succeed(
        """
        ON_AMD64 = {"build_config": {"build_options": {"platform": "linux/amd64"}}}

        @step
        def here() -> None: ...

        @pipeline(enable_cache=False, settings={"docker": ON_AMD64})
        def latest():
            here()

        if __name__ == "__main__":
            latest()
        """
    )

    found = examined(simulated_project, code=0)["image architecture"]["found"]

    assert found == "`builder` builds for amd64, as set in the `DockerSettings` of the latest run on the stack"


def test_a_private_workspace_is_a_matter_of_the_network(simulated_project: Project, emulator: Emulator) -> None:
    message = "Access to workspace was denied based on workspace private link configuration."
    body = {"error": {"code": "UserError", "message": message}}
    for method in ("GET", "POST"):
        fault = {"method": method, "path": "/workspaces/emulator$", "status": 502, "body": body, "times": 100}
        Arm(emulator).call("POST", "/_emulator/faults", fault)

    found = examined(simulated_project, code=1)

    assert found["workspace"]["status"] == "failed"
    assert message in found["workspace"]["found"]
    assert "Send the request from inside the network" in found["workspace"]["do_next"]
    assert "az login" not in found["workspace"]["do_next"]


def test_a_disabled_subscription_is_found_before_a_job_is_refused(
    simulated_project: Project, emulator: Emulator
) -> None:
    fault = {"path": "/subscriptions/[^/]+$", "status": 200, "body": {"state": "Disabled"}, "times": 100}
    Arm(emulator).call("POST", "/_emulator/faults", fault)

    found = examined(simulated_project, code=1)

    assert found["workspace"]["found"] == "The subscription is disabled, so Azure refuses jobs."
    assert "re-enable it" in found["workspace"]["do_next"]
