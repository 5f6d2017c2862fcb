"""A secret that is rotated while a pipeline waits for its job: stored anew in time, or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.conftest import Project
from tests.e2e.requests_of import requests_of
from tests.e2e.warm import Process
from zenml_azureml.emulator import Emulator

STORE_PRINCIPAL = """
import sys
from zenml.enums import StackComponentType as Type

names = ("tenant_id", "service_principal_id", "service_principal_password")
Client().update_stack_component("azureml", Type.STEP_OPERATOR, configuration=dict(zip(names, sys.argv[1:])))
"""

#: A job that runs until there is a certain file.
WAITING = """
import sys

@pipeline(enable_cache=False, settings=NO_BUILD)
def waiting(minutes: float):
    settings = AzureMLStepOperatorSettings(max_unreachable_minutes=minutes)
    command = ["bash", "-c", f"while [ ! -e {sys.argv[1]} ]; do sleep 0.1; done; echo it goes on"]
    CommandStep(command, name="patient", step_operator="azureml", settings={"step_operator": settings})()

if __name__ == "__main__":
    waiting(float(sys.argv[2]))
"""


def begin(project: Project, jobs: Emulator, until: Path, patience_minutes: float) -> Process:
    """Start a pipeline whose step operator has a service principal; returns when its job runs."""
    project.succeed(STORE_PRINCIPAL, jobs.tenant_id, jobs.client_id, jobs.client_secret)
    process = project.start(WAITING, str(until), str(patience_minutes))
    eventually(lambda: status_of_job(jobs) == "Running", seconds=120)
    return process


def status_of_job(jobs: Emulator) -> str:
    (workspace,) = jobs.context.store.workspaces
    return next((job.status for job in list(workspace.jobs.values())), "")


def rotate_secret(jobs: Emulator) -> None:
    """Another secret; and all tokens are revoked, so that it is needed at once."""
    arm = Arm(jobs)
    arm.call("POST", "/_emulator/secret/rotate", {"old": "expired"})
    arm.call("POST", "/_emulator/tokens/revoke", {"answer": "none"})


def looks(jobs: Emulator) -> int:
    """How often somebody has looked at the job and was told."""
    served = [entry for entry in requests_of(jobs) if entry["method"] == "GET" and "/jobs" in entry["path"]]
    return len([entry for entry in served if entry["status"] == 200])


@pytest.mark.long
def test_a_run_continues_when_the_new_secret_is_stored(project: Project, jobs: Emulator, tmp_path: Path) -> None:
    until, old = tmp_path / "until", jobs.client_secret
    process = begin(project, jobs, until, 30)

    rotate_secret(jobs)
    before = looks(jobs)
    option = f"--service_principal_password={jobs.client_secret}"
    updated = project.zenml("step-operator", "update", "azureml", option)
    assert updated.returncode == 0, updated.stderr
    eventually(lambda: looks(jobs) > before, seconds=60)
    until.touch()
    output, _ = process.communicate(timeout=120)

    assert process.returncode == 0, output
    assert "it goes on" in output
    assert not [secret for secret in (old, jobs.client_secret) if secret in output]


def test_a_run_that_cannot_sign_in_any_more_ends_and_leaves_its_job(
    project: Project, jobs: Emulator, tmp_path: Path
) -> None:
    until, old = tmp_path / "until", jobs.client_secret
    process = begin(project, jobs, until, 0.1)

    rotate_secret(jobs)
    output, _ = process.communicate(timeout=120)

    assert process.returncode != 0
    assert status_of_job(jobs) == "Running"
    (name,) = (job.name for job in jobs.context.store.workspaces[0].jobs.values())
    assert (
        f"the service principal `{jobs.client_id}` of tenant `{jobs.tenant_id}` (in the configuration of the step "
        "operator `azureml`) could not sign in."
    ) in output
    assert f"Azure: AADSTS7000222: The provided client secret keys for app '{jobs.client_id}' are expired." in output
    assert "zenml step-operator update azureml --service_principal_password=..." in output
    assert f"zenml-azureml jobs wait {name}" in output
    assert not [secret for secret in (old, jobs.client_secret) if secret in output]
