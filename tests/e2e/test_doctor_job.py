"""`zenml-azureml doctor --run-job`: one job, submitted as those of steps are, that looks at all from the inside."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.contract.test_vault import CLUSTER
from tests.contract.waiting import eventually
from tests.e2e.conftest import PRELUDE, Project
from tests.e2e.killed import azureml, jobs_of, read_until
from tests.e2e.warm import WarmProcess
from tests.vault_access import grant, own_vault
from zenml_azureml.doctor.run_job.verdicts import CHECKS
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.state import Workspace

IMAGE = "example.azurecr.io/train:1"

TRAINING = """
SETTINGS = AzureMLStepOperatorSettings(
    instance_type="Standard_DS11_v2", identity="managed", display_name="mine", tags={"team": "research"},
    environment_variables={"HF_TOKEN": "{{hub.token}}"}, secrets_via="environment", checkpoints=True,
    services={"lab": {"type": "jupyter_lab"}},
)

@step(step_operator="azureml", settings={"step_operator": SETTINGS})
def trainer() -> None: ...

@pipeline(settings=NO_BUILD)
def training():
    trainer()
"""

EVALUATION = """
SETTINGS = AzureMLStepOperatorSettings(instance_type="Standard_DS11_v2")

evaluator = CommandStep(["true"], name="evaluator", step_operator="azureml", settings={"step_operator": SETTINGS})

@pipeline(enable_cache=False, settings=NO_BUILD)
def evaluation():
    evaluator()

if __name__ == "__main__":
    evaluation()
"""

BY_VAULT = """
SETTINGS = AzureMLStepOperatorSettings(compute_target_name="gpus", secrets_via="key-vault")

@step(step_operator="azureml", settings={"step_operator": SETTINGS})
def trainer() -> None: ...

@pipeline(settings=NO_BUILD)
def training():
    trainer()
"""


def checked(project: Project, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What such a job has found, by the name of the check."""
    done = azureml(project, "doctor", "--run-job", "--yes", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    (report,) = json.loads(done.stdout)
    assert report["job"].startswith("zenml-")
    return {found["check"]: found for found in report["checks"]}


def test_a_job_reports_everything_that_a_step_needs(project: Project, jobs: Emulator) -> None:
    done = azureml(project, "doctor", "--run-job", "--yes", "--image", IMAGE)

    assert done.returncode == 0, done.stdout + done.stderr
    announced, heading, _, *lines, _, summary = done.stdout.splitlines()
    assert announced.startswith(f"This submits one job with the image `{IMAGE}` to serverless compute")
    assert heading == "Step operator azureml, workspace emulator"
    assert [line[2:20].strip() for line in lines] == list(CHECKS)
    told = dict(zip(CHECKS, lines, strict=True))
    assert "can be written and read" in told["artifact store"]
    assert "The database is a file that the job can use" in told["ZenML server"]
    # The emulator's serverless compute has no identity, so no vault can be used.
    assert told["key vault"].startswith("! ")
    assert summary == "1 with a warning, 7 ok"
    (job,) = jobs_of(jobs)
    assert job.status == "Completed"


@pytest.mark.long
def test_an_artifact_store_that_the_job_cannot_write_fails(project: Project, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "zenml_azureml").touch()  # in the place of the folder
    changed = project.zenml("artifact-store", "update", "files", f"--path={tmp_path}/store")
    assert changed.returncode == 0, changed.stderr

    found = checked(project, "--image", IMAGE, code=1)

    assert found["artifact store"]["status"] == "failed"
    assert f"{tmp_path}/store/zenml_azureml" in found["artifact store"]["found"]
    assert "storage account" in found["artifact store"]["do_next"]
    assert [check for check, one in found.items() if one["status"] == "failed"] == ["artifact store"]


def test_the_job_has_the_settings_and_the_image_of_a_step(simulated_project: Project, emulator: Emulator) -> None:
    project = simulated_project
    assert project.zenml("secret", "create", "hub", "--token=hf_AbCdEf123456").returncode == 0
    (project.folder / "train.py").write_text(PRELUDE + TRAINING)

    found = checked(project, "--step", "train:training.trainer", code=1)

    # A simulated job writes no results.
    assert found["image"]["found"] == "The job completed, but its log has no results."
    (job,) = jobs_of(emulator)
    sent = job.properties
    assert sent["resources"]["instanceType"] == "Standard_DS11_v2"
    assert sent["identity"]["identityType"] == "Managed"
    assert sent["environmentVariables"]["HF_TOKEN"] == "hf_AbCdEf123456"
    assert sent["limits"]["timeout"] == "PT15M"
    assert (sent["displayName"], sent["tags"]["team"]) == ("trainer (doctor)", "research")
    assert "lab" not in sent["services"]
    assert "checkpoints" in sent["outputs"]
    workspace: Workspace = emulator.context.store.workspaces[0]
    (environment,) = workspace.environments.values()
    assert environment.versions["1"].properties["image"] == IMAGE
    assert '"nodes": 1' in sent["environmentVariables"]["ZENML_AZUREML_JOB_CHECKS"]


def test_without_a_confirmation_or_an_image_nothing_is_submitted(
    simulated_project: Project, emulator: Emulator
) -> None:
    unasked = azureml(simulated_project, "doctor", "--run-job", "--image", IMAGE)
    without_image = azureml(simulated_project, "doctor", "--run-job", "--yes")

    assert unasked.returncode == without_image.returncode == 1
    assert "Azure ML ends it after 15" in unasked.stdout
    assert "no image is known" in without_image.stderr
    assert "--image REGISTRY/NAME:TAG" in without_image.stderr
    assert jobs_of(emulator) == []


@pytest.mark.long
def test_the_job_has_the_image_of_a_past_step(simulated_project: Project, emulator: Emulator) -> None:
    simulated_project.succeed(EVALUATION)

    for arguments, name, size in ([], "check", None), (["--step", "evaluator"], "evaluator", "Standard_DS11_v2"):
        checked(simulated_project, *arguments, code=1)
        job = jobs_of(emulator)[-1]
        assert job.properties["displayName"] == f"{name} (doctor)"
        assert job.properties["resources"]["instanceType"] == size
    assert [job.properties["environmentId"] for job in jobs_of(emulator)] == [job.properties["environmentId"]] * 3


def test_what_a_killed_doctor_left_is_found_as_an_orphan(simulated_project: Project, emulator: Emulator) -> None:
    project = simulated_project
    Arm(emulator).call("PUT", "computes/gpus", CLUSTER, api_version="2024-04-01")
    body = Arm(emulator).call("GET", "computes/gpus", api_version="2024-04-01").body
    grant(emulator, "Key Vault Secrets Officer")
    grant(emulator, "Key Vault Secrets User", body["identity"]["principalId"])
    emulator.context.settings.simulated_seconds = 3600
    (project.folder / "train.py").write_text(PRELUDE + BY_VAULT)
    client = started(project, "--step", "train:training.trainer")
    read_until(client, "Submitted the job")
    assert len(own_vault(emulator).secrets) == 1

    client.send_signal(signal.SIGKILL)
    client.wait()
    done = azureml(project, "jobs", "cancel", "--orphans", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = jobs_of(emulator)
    assert job.status == "Canceled"
    assert own_vault(emulator).secrets == {}


def started(project: Project, *arguments: str) -> WarmProcess:
    """The command, which runs."""
    program = str(Path(sys.executable).parent / "zenml-azureml")
    command = [program, "doctor", "--run-job", "--yes", *arguments]
    return WarmProcess(command, project.environment, project.folder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_job_and_waits_for_its_end(
    number: int, code: int, simulated_project: Project, emulator: Emulator
) -> None:
    emulator.context.settings.simulated_seconds = 3600
    client = started(simulated_project, "--image", IMAGE)
    read_until(client, "Submitted the job")
    (job,) = jobs_of(emulator)
    eventually(lambda: job.status == "Running")

    client.send_signal(number)

    output, _ = client.communicate(timeout=120)
    assert client.wait() == code, output
    assert f"The job `{job.name}` has ended: Canceled." in output
    assert job.status == "Canceled"
    assert own_vault(emulator).secrets == {}
