"""Steps that read and write data on Azure: paths in the step, lineage in ZenML, and ZenML's cache."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.arm import Arm
from tests.e2e.conftest import Project
from tests.e2e.killed import jobs_of
from tests.e2e.requests_of import requests_of
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.scenarios.armed import Armed
from zenml_azureml.emulator.scenarios.rules import ScenarioRule
from zenml_azureml.emulator.services.aml.asset_paths import find_place

STORE = "azureml://datastores/workspaceblobstore/paths/"

TRAINING = """
import json
from zenml_azureml import azureml_data, input_path, output_path

@step(step_operator="azureml", settings={"step_operator": AzureMLStepOperatorSettings(
    inputs={"train": "azureml:images@latest"},
    outputs={"model": {"register_as": "my-model-files"}},
    instance_type="Standard_DS3_v2", job_tier="spot", fallback=[{"job_tier": "standard"}],
)})
def train() -> str:
    text = (input_path("train") / "a.txt").read_text()
    (output_path("model") / "weights").write_text(text.upper())
    return text

@pipeline(settings=NO_BUILD)
def training():
    train()

if __name__ == "__main__":
    training()
    step_run = last_run().steps["train"]
    print("RESULT", step_run.outputs["output"][0].load())
    metadata = {key: value for key, value in step_run.run_metadata.items() if "put" in key or key == "azureml_attempts"}
    print("METADATA", json.dumps(metadata))
    print("RUN", json.dumps({key: value for key, value in last_run().run_metadata.items() if "azureml_data" in key}))
"""


def asset(jobs: Emulator, version: str, text: str) -> None:
    """A version of the data asset `images`, with a file."""
    uri = f"{STORE}images-{version}/"
    file = find_place(jobs.context.folder, jobs.context.store.workspaces[0], f"{uri}a.txt", kind="data").file
    file.parent.mkdir(parents=True)
    file.write_text(text)
    body = {"properties": {"dataType": "uri_folder", "dataUri": uri}}
    assert Arm(jobs).call("PUT", f"data/images/versions/{version}", body).status == 201


def told(output: str, mark: str) -> Any:
    (line,) = (line for line in output.splitlines() if line.startswith(f"{mark} "))
    return json.loads(line.removeprefix(f"{mark} "))


def test_data_reaches_the_step_on_a_fallback_target_and_its_lineage_reaches_zenml(
    project: Project, jobs: Emulator
) -> None:
    asset(jobs, "6", "old")
    asset(jobs, "7", "images")
    jobs.context.scenarios.armed.append(Armed(ScenarioRule(name="no-capacity", jobs="^zenml_step=train$", times=1)))

    output = project.succeed(TRAINING)

    assert "RESULT images" in output
    assert "The step `train` has `inputs`, which are not part of ZenML's cache key" in output
    first, second = jobs_of(jobs)
    assert [first.status, second.status] == ["Failed", "Completed"]
    assert first.properties["inputs"] == second.properties["inputs"]
    assert first.properties["inputs"]["train"]["uri"].endswith(("/images/versions/7", "azureml:images:7"))
    assert second.properties["outputs"]["model"]["assetName"] == "my-model-files"
    metadata = told(output, "METADATA")
    read, written = metadata["azureml_inputs"]["train"], metadata["azureml_outputs"]["model"]
    assert read.pop("uri").endswith("/datastores/workspaceblobstore/paths/images-7/")
    assert read == {"path": "azureml:images@latest", "asset": "images", "version": "7", "type": "uri_folder"}
    place = find_place(jobs.context.folder, jobs.context.store.workspaces[0], written.pop("uri"), kind="data")
    assert (place.file / "weights").read_text() == "IMAGES"
    model = {"register_as": "my-model-files", "asset": "my-model-files", "version": "1", "type": "uri_folder"}
    assert written == model
    assert "/data/images/7/details?wsid=" in metadata["azureml_input_train_studio_url"]
    assert "/data/my-model-files/1/details?wsid=" in metadata["azureml_output_model_studio_url"]
    assert told(output, "RUN") == {"azureml_data/emulator/images@latest": "7"}
    # Beyond the two submits: what `@latest` means, and the datastores of what is read and written, once each.
    asked = [one["path"].partition("/workspaces/emulator/")[2] for one in requests_of(jobs) if one["method"] == "GET"]
    assert [path for path in asked if path.startswith(("data/images", "datastores"))] == [
        *("data/images/versions", "datastores/workspaceblobstore", "datastores")
    ]


CACHED = """
from zenml_azureml import azureml_data, input_path

@step(step_operator="azureml", settings={"step_operator": AzureMLStepOperatorSettings(display_name="mine")})
def train() -> str:
    return (input_path("train") / "a.txt").read_text()

@pipeline(settings=NO_BUILD)
def training(images: str):
    train.with_options(**azureml_data(inputs={"train": images}))()

def outcome(images):
    training(images)
    step_run = last_run().steps["train"]
    print("RUN", images, step_run.status.value, step_run.outputs["output"][0].load())

if __name__ == "__main__":
    import sys

    for images in sys.argv[1:]:
        outcome(images)
"""


@pytest.mark.long
def test_a_new_version_of_the_data_is_a_new_run_of_the_step_and_the_same_version_is_cached(
    project: Project, jobs: Emulator
) -> None:
    asset(jobs, "1", "one")
    asset(jobs, "2", "two")

    first = project.succeed(CACHED, "azureml:images:1", "azureml:images:1", "azureml:images@latest")
    asset(jobs, "3", "three")
    then = project.succeed(CACHED, "azureml:images:2", "azureml:images@latest")

    ran = [line.split()[1:] for line in (first + then).splitlines() if line.startswith("RUN ")]
    assert ran == [
        ["azureml:images:1", "completed", "one"],
        ["azureml:images:1", "cached", "one"],
        ["azureml:images@latest", "completed", "two"],
        ["azureml:images:2", "cached", "two"],
        ["azureml:images@latest", "completed", "three"],
    ]
    assert "not part of ZenML's cache key" not in first + then
    assert [job.properties["displayName"] for job in jobs_of(jobs)] == ["mine"] * 3
