"""Artifacts of runs through run history, and who may use them and MLflow's API."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient

from tests.contract.arm import Arm
from tests.contract.test_roles import restrict
from tests.contract.waiting import eventually
from zenml_azureml.emulator.jobs.variables import run_token
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.asset_paths import find_place
from zenml_azureml.emulator.services.aml.places import AssetPathError
from zenml_azureml.emulator.services.storage.files import part_of_job


@pytest.fixture
def job(ml_client: MLClient, arm: Arm) -> Job:
    """A job that runs for a year."""
    arm.emulator.context.settings.simulated_seconds = 365 * 86_400.0
    image = Environment(image="example.azurecr.io/train:1")
    ml_client.jobs.create_or_update(command(name="train", command="true", environment=image, experiment_name="digits"))
    found = arm.emulator.context.store.workspaces[0].jobs["train"]
    eventually(lambda: found.status == "Running")
    return found


def artifacts(arm: Arm, job: str = "train", experiment: str = "digits") -> str:
    return f"/history/v1.0{arm.workspace}/experiments/{experiment}/runs/{job}/artifacts"


def mlflow(arm: Arm, operation: str) -> str:
    return f"/mlflow/v2.0{arm.workspace}/api/2.0/mlflow/{operation}"


def test_an_artifact_is_written_listed_and_read_by_urls_that_grant_no_more(arm: Arm, job: Job) -> None:
    wanted = {"paths": [{"path": "model/weights.txt"}, {"path": "outputs/plot.txt"}, {"path": "../other"}]}

    made = arm.call("POST", f"{artifacts(arm)}/batch/metadata", wanted)

    assert made.status == 200
    assert list(made.body["errors"]) == ["../other"]
    for path, content in made.body["artifactContentInformation"].items():
        BlobClient.from_blob_url(content["contentUri"]).upload_blob(f"this is {path}")
    listed = arm.call("GET", artifacts(arm)).body["value"]
    assert [one["path"] for one in listed] == ["model/weights.txt", "outputs/plot.txt", "user_logs/std_log.txt"]
    assert listed[0]["artifactId"] == "ExperimentRun/dcid.train/model/weights.txt"
    below = arm.call("GET", f"{artifacts(arm)}/path?path=model/").body["value"]
    assert [one["path"] for one in below] == ["model/weights.txt"]
    # What a job logs below `outputs` is one of its files.
    assert (part_of_job(job, "outputs") / "plot.txt").read_text() == "this is outputs/plot.txt"

    url = arm.call("GET", f"{artifacts(arm)}/contentinfo?path=model/weights.txt").body["contentUri"]

    assert BlobClient.from_blob_url(url).download_blob().readall() == b"this is model/weights.txt"
    with pytest.raises(HttpResponseError, match="not authorized"):
        BlobClient.from_blob_url(url).upload_blob(b"again", overwrite=True)


def test_a_folder_that_a_client_uploads_belongs_to_no_run_and_can_be_a_model(arm: Arm) -> None:
    folder = f"/artifact/v2.0{arm.workspace}/artifacts/LocalUpload/261130T220000-a1b2c3d4"
    wanted = {"paths": [{"path": "tree/MLmodel"}, {"path": "tree/data/weights.txt"}, {"path": "../other/x"}]}

    made = arm.call("POST", f"{folder}/batch/metadata", wanted).body

    assert list(made["errors"]) == ["../other/x"]
    for path, content in made["artifactContentInformation"].items():
        BlobClient.from_blob_url(content["contentUri"]).upload_blob(f"this is {path}")
    (listed, _) = arm.call("GET", folder).body["value"]
    assert (listed["origin"], listed["container"]) == ("LocalUpload", "261130T220000-a1b2c3d4")
    url = arm.call("GET", f"{folder}/contentinfo?path=tree/MLmodel").body["contentUri"]
    assert BlobClient.from_blob_url(url).download_blob().readall() == b"this is tree/MLmodel"
    assert arm.call("GET", f"{folder}/contentinfo?path=tree/missing").status == 404
    uri = "azureml://datastores/workspaceartifactstore/paths/LocalUpload/261130T220000-a1b2c3d4/tree"
    arm.call("PUT", "models/tree/versions/1", {"properties": {"modelUri": uri, "modelType": "mlflow_model"}})
    context = arm.emulator.context
    found = find_place(context.folder, context.store.workspaces[0], "tree:1", kind="models")
    assert sorted(name for name, _ in found.files()) == ["MLmodel", "data/weights.txt"]


def test_what_a_job_logs_with_mlflow_is_an_input_of_other_jobs(arm: Arm, job: Job) -> None:
    wanted = {"paths": [{"path": path} for path in ("model/MLmodel", "outputs/plot.txt", "top.txt")]}
    made = arm.call("POST", f"{artifacts(arm)}/batch/metadata", wanted)
    for path, content in made.body["artifactContentInformation"].items():
        BlobClient.from_blob_url(content["contentUri"]).upload_blob(f"this is {path}")
    model = {"properties": {"modelUri": "azureml://jobs/train/outputs/artifacts/paths/model/"}}
    arm.call("PUT", "models/net/versions/1", model)
    context = arm.emulator.context
    workspace = context.store.workspaces[0]

    for reference in ("net:1", "azureml://jobs/train/outputs/artifacts/paths/model", "runs:/train/model"):
        found = find_place(context.folder, workspace, reference, kind="models")
        assert [(name, file.read_text()) for name, file in found.files()] == [("MLmodel", "this is model/MLmodel")]
    everything = find_place(context.folder, workspace, "azureml://jobs/train/outputs/artifacts")
    names = [name for name, _ in everything.files()]
    assert names == ["outputs/plot.txt", "user_logs/std_log.txt", "model/MLmodel", "top.txt"]
    own = find_place(context.folder, workspace, "azureml://jobs/train/outputs/artifacts/paths/outputs/plot.txt")
    assert own.file == part_of_job(job, "outputs") / "plot.txt"
    with pytest.raises(AssetPathError):
        find_place(context.folder, workspace, "azureml://jobs/train/outputs/artifacts/paths/model/../../dcid.other/x")


def test_an_artifact_that_exists_is_not_created_again(arm: Arm, job: Job) -> None:
    part_of_job(job, "outputs").mkdir(parents=True, exist_ok=True)
    (part_of_job(job, "outputs") / "model.txt").write_text("1")

    again = arm.call("POST", f"{artifacts(arm)}/batch/metadata", {"paths": [{"path": "outputs/model.txt"}]}).body

    assert again["artifactContentInformation"] == {}
    assert again["errors"]["outputs/model.txt"]["error"]["message"] == (
        "Resource Conflict: ArtifactId ExperimentRun/dcid.train/outputs/model.txt already exists."
    )


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("run", "experiment", "path"),
    [
        ("train", "digits", "missing"),
        ("other", "digits", "missing"),
        ("train", "other", "missing"),
        ("f" * 32, "a", "b"),
    ],
)
def test_what_does_not_exist_is_not_found(arm: Arm, run: str, experiment: str, path: str) -> None:
    for operation in ("contentinfo", "metadata", "artifacturi"):
        assert arm.call("GET", f"{artifacts(arm, run, experiment)}/{operation}?path={path}").status == 404
    expected = 200 if (run, experiment) == ("train", "digits") else 404
    assert arm.call("GET", artifacts(arm, run, experiment)).status == expected


@pytest.mark.parametrize("bearer", ["", "Bearer nonsense", "Bearer e30.e30.e30"])
@pytest.mark.usefixtures("job")
def test_a_request_without_a_valid_token_is_refused(arm: Arm, bearer: str) -> None:
    for path in (artifacts(arm), mlflow(arm, "runs/get?run_id=train")):
        assert arm.call("GET", path, headers={"Authorization": bearer}).status == 401


def test_a_token_of_a_run_is_good_for_its_workspace_while_the_run_lasts(arm: Arm, job: Job) -> None:
    token = {"Authorization": f"Bearer {run_token(job)}"}
    other = Job("train", job.properties, job.created_at, Path("elsewhere"))
    forged = {"Authorization": f"Bearer {run_token(other)}"}

    assert arm.call("GET", artifacts(arm), headers=token).status == 200
    assert arm.call("GET", artifacts(arm), headers=forged).status == 401
    assert arm.call("GET", f"{arm.workspace}/jobs/train", headers=token).status == 401
    assert arm.call("POST", "jobs/train/cancel").status == 202
    eventually(lambda: job.is_terminal)
    assert arm.call("GET", artifacts(arm), headers=token).status == 401


@pytest.mark.usefixtures("job")
def test_a_reader_reads_and_does_not_write(arm: Arm) -> None:
    restrict(arm, "Reader")
    wanted = {"paths": [{"path": "model.txt"}]}

    assert arm.call("GET", artifacts(arm)).status == 200
    refused = arm.call("POST", f"{artifacts(arm)}/batch/metadata", wanted)
    assert (refused.status, refused.body["error"]["code"]) == (403, "AuthorizationFailed")
    assert arm.call("POST", mlflow(arm, "runs/log-metric"), {"run_id": "train"}).status == 403
    restrict(arm)
    assert arm.call("GET", artifacts(arm)).status == 403
    assert arm.call("POST", mlflow(arm, "runs/search"), {}).status == 403


@pytest.mark.skipif(find_spec("mlflow") is not None, reason="needs a Python without MLflow")
@pytest.mark.usefixtures("job")
def test_without_mlflow_a_sentence_names_the_extra(arm: Arm) -> None:
    answer = arm.call("GET", mlflow(arm, "runs/get?run_id=train"))

    assert (answer.status, answer.body["error"]["code"]) == (501, "NotEmulated")
    assert "pip install 'zenml-azureml[emulator,mlflow]'" in answer.body["error"]["message"]


def test_the_workspace_names_the_emulator_for_mlflow(ml_client: MLClient, arm: Arm) -> None:
    address = arm.emulator.base_url.removeprefix("https://")

    uri = ml_client.workspaces.get("emulator").mlflow_tracking_uri

    assert uri == f"azureml://{address}/mlflow/v1.0{arm.workspace}"
