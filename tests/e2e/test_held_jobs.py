"""A job that is held open after its step has failed: the pipeline goes on, and the container stays."""

from __future__ import annotations

import json
import shutil

import asyncssh

from tests.e2e.conftest import Project
from zenml_azureml.emulator import Emulator

#: What a visitor of the job runs: it sees the step's variables, folder and files, and chooses the exit code.
LOOK = """
import json, os, pathlib, sys
found = {"folder": os.getcwd(), "run": os.environ["AZUREML_RUN_ID"], "file": pathlib.Path("left.txt").read_text()}
print(json.dumps(found | {"rate": os.environ["RATE"]}))
sys.exit(23)
"""

HELD = """
import json, os, sys
from pathlib import Path
from zenml.config.retry_config import StepRetryConfig

HOLD = AzureMLStepOperatorSettings(
    hold_on_failure_minutes=20,
    timeout_minutes=30,
    services={"code": {"type": "vs_code"}, "terminal": {"type": "ssh", "ssh_public_keys": PUBLIC_KEY}},
    environment_variables={"RATE": "0.1"},
)

@step(step_operator="azureml", settings={"step_operator": HOLD}, retry=StepRetryConfig(max_retries=1, delay=0))
def train() -> int:
    if not Path(MARK).exists():
        Path(MARK).touch()
        Path("left.txt").write_text("by the step")
        raise ValueError("a shape does not fit")
    return 1

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    train()

if __name__ == "__main__":
    training()
    run = last_run()
    print(json.dumps({"run": run.status, "steps": {each.name: str(each.id) for each in run.steps.values()}}))
"""


def test_a_failed_job_is_held_open_and_a_retry_runs_beside_it(project: Project, jobs: Emulator) -> None:
    key = project.folder / "key"
    pair = asyncssh.generate_private_key("ssh-ed25519")
    pair.write_private_key(key)
    key.chmod(0o600)
    public = pair.export_public_key().decode()
    output = project.succeed(f"MARK, PUBLIC_KEY = {str(project.folder / 'mark')!r}, {public!r}\n{HELD}")

    told = json.loads(output.splitlines()[-1])
    assert told["run"] == "completed"
    held, retried = jobs.context.store.workspaces[0].jobs.values()
    assert "failed: ValueError: a shape does not fit" in output
    assert f"The job `{held.name}` is held open until " in output
    assert f"zenml-azureml jobs release {held.name}" in output
    assert (held.status, retried.status) == ("Running", "Completed")
    assert held.properties["limits"]["timeout"] == "PT50M", "Azure's own limit covers the hold"
    assert held.properties["tags"]["zenml_hold_on_failure_minutes"] == "20"

    listed = {job["job"]: job for job in json.loads(project.azureml("jobs", "list", "--json").stdout)}
    assert listed[held.name]["orphan"] is False
    assert listed[held.name]["reason"].startswith("held open until ")
    assert listed[held.name]["held_until"] is not None
    assert project.azureml("jobs", "cancel", "--orphans", "--yes").returncode == 0
    assert held.status == "Running"

    assert f"To look into it: zenml-azureml jobs shell {held.name}" in output
    if shutil.which("ssh"):  # the client of OpenSSH is no part of Python
        looked = project.azureml("jobs", "shell", held.name, "--identity", str(key), "--", "python", "-c", LOOK)
        assert looked.returncode == 23, looked.stderr
        place = str((jobs.context.folder / "jobs" / held.name / "app" / "code").resolve())
        expected = {"folder": place, "run": held.name, "file": "by the step", "rate": "0.1"}
        assert json.loads(looked.stdout) == expected, "nothing else is on stdout"
        assert held.status == "Running"

    released = project.azureml("jobs", "release", held.name)
    assert released.returncode == 0, released.stderr
    assert f"The Azure ML job `{held.name}` has ended: Canceled." in released.stdout
    logs = [log.read_text() for log in (jobs.context.folder / "jobs").rglob("std_log.txt")]
    assert any("is held open until" in log and "it was asked to end" in log for log in logs)
