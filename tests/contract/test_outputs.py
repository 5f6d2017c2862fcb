"""Outputs of jobs that are folders of a datastore: mounted, and shared by the jobs that name the same path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.contract.test_scenarios import arm_scenario, ready, submit
from tests.contract.waiting import eventually
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.jobs.data import plan_data
from zenml_azureml.emulator.jobs.launch import build_launch
from zenml_azureml.emulator.jobs.processes import Rendezvous
from zenml_azureml.emulator.runtimes.docker.runtime import options_of
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.services.aml.asset_paths import find_place

SAVED = {
    "jobOutputType": "uri_folder",
    "mode": "ReadWriteMount",
    "uri": "azureml://datastores/workspaceblobstore/paths/runs/1/saved",
}


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Arm]:
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    with Emulator(tmp_path / "emulator", runtime=ProcessRuntime(grace=0.1), settings=settings) as emulator:
        yield ready(Arm(emulator))


def end_of(arm: Arm, name: str) -> str:
    def status() -> Any:
        found = arm.call("GET", f"jobs/{name}").body["properties"]["status"]
        return found if found in ("Completed", "Failed", "Canceled") else None

    return str(eventually(status))


def test_a_job_finds_what_an_evicted_one_has_written(processes: Arm) -> None:
    write = 'echo 20 > "$AZURE_ML_OUTPUT_saved/epoch"; sleep 600'
    submit(processes, "first", command=write, outputs={"saved": SAVED})
    workspace = processes.emulator.context.store.workspaces[0]
    folder = find_place(processes.emulator.context.folder, workspace, SAVED["uri"]).file
    eventually(lambda: (folder / "epoch").exists() and (folder / "epoch").read_text())
    arm_scenario(processes, "preempted", now=True)
    assert end_of(processes, "first") == "Failed"

    read = 'test "$(cat ${{outputs.saved}}/epoch)" = 20 && test ${{outputs.saved}} = "$AZURE_ML_OUTPUT_saved"'
    submit(processes, "second", command=read, outputs={"saved": SAVED})

    assert end_of(processes, "second") == "Completed"
    job = processes.emulator.context.store.workspaces[0].jobs["second"]
    assert job.properties["outputs"]["saved"]["uri"] == SAVED["uri"]
    # In containers it is the same folder, mounted at its own path.
    data = plan_data(processes.emulator.context.folder, workspace, job, "https://127.0.0.1:1")
    launch = build_launch(job, workspace, "https://127.0.0.1:1", data=data)
    options = options_of(launch, launch.processes[0], Rendezvous(("127.0.0.1",), (6105,)), None)
    mounts = [mount["Target"] for mount in options["mounts"]]
    assert str(folder) in mounts


def test_an_output_stays_within_its_datastore(processes: Arm) -> None:
    outside = {**SAVED, "uri": "azureml://datastores/workspaceblobstore/paths/../../../outside"}
    submit(processes, "job", command="touch ${{outputs.saved}}/file", outputs={"saved": outside})

    assert end_of(processes, "job") == "Failed"
    assert not list(processes.emulator.context.folder.parent.glob("outside*"))


def test_the_service_evaluates_the_expressions_in_the_path_of_an_output(processes: Arm) -> None:
    path = "azureml://datastores/${{default_datastore}}/paths/kept/${{name}}/${{ output_name }}"
    output = {**SAVED, "uri": path, "assetName": "kept"}
    submit(processes, "writer", command="echo 20 > ${{outputs.saved}}/epoch", outputs={"saved": output})
    assert end_of(processes, "writer") == "Completed"

    context = processes.emulator.context
    plain = "azureml://datastores/workspaceblobstore/paths/kept/writer/saved"
    workspace = context.store.workspaces[0]
    assert (find_place(context.folder, workspace, plain).file / "epoch").read_text() == "20\n"
    [version] = processes.call("GET", "data/kept/versions").body["value"]
    assert version["properties"]["dataUri"].rstrip("/").endswith("/paths/kept/writer/saved")
    model = {"properties": {"modelUri": "azureml://jobs/writer/outputs/saved", "modelType": "custom_model"}}
    made = processes.call("PUT", "models/kept/versions/1", model).body
    assert made["properties"]["modelUri"].endswith("/datastores/workspaceblobstore/paths/kept/writer/saved")


def test_what_happens_before_a_job_runs_cannot_happen_to_one_that_does(processes: Arm) -> None:
    answer = processes.call("POST", "/_emulator/scenario", {"name": "quota", "now": True})

    assert answer.status == 400
    assert "happens before a job runs" in answer.text
