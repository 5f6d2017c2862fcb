"""Code, data, models and datastores as the unmodified SDK uses them, files and all."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import (
    AccountKeyConfiguration,
    AzureBlobDatastore,
    AzureDataLakeGen2Datastore,
    Data,
    Model,
    NoneCredentialConfiguration,
    SasTokenConfiguration,
)
from azure.ai.ml.entities._assets import Code
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.aml.asset_paths import find_place
from zenml_azureml.emulator.services.aml.places import AssetPathError, Place


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "a b").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)")
    (folder / "a b" / "c%20d.txt").write_text("x" * 10)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def contents_of(place: Place) -> dict[str, str]:
    return {name: path.read_text() for name, path in place.files()}


def place(emulator: Emulator, reference: str | None, kind: str = "data") -> Place:
    assert reference is not None
    return find_place(emulator.context.folder, emulator.context.store.workspaces[0], reference, kind=kind)


def test_code_is_uploaded_once_and_found_by_its_hash(ml_client: MLClient, source: Path, tmp_path: Path) -> None:
    first = ml_client._code.create_or_update(Code(path=str(source)))
    second = ml_client._code.create_or_update(Code(path=str(source)))
    (source / "train.py").write_text("print(2)")
    third = ml_client._code.create_or_update(Code(path=str(source)))

    assert first.id == second.id != third.id
    ml_client._code.download(str(first.name), str(first.version), tmp_path / "back")
    assert contents(tmp_path / "back") == {"train.py": "print(1)", "a b/c%20d.txt": "x" * 10}


def test_what_a_job_would_read_is_what_was_uploaded(emulator: Emulator, ml_client: MLClient, source: Path) -> None:
    code = ml_client._code.create_or_update(Code(path=str(source)))
    data = ml_client.data.create_or_update(Data(name="ours", path=str(source), type="uri_folder"))
    one = ml_client.data.create_or_update(Data(name="one", path=str(source / "train.py"), type="uri_file"))
    ml_client.models.create_or_update(Model(name="net", path=str(source), type="custom_model"))

    assert str(data.path).endswith("/source/")
    everything = contents(source)
    for reference in (code.id, f"azureml:{code.id}", data.id, "azureml:ours:1", "azureml:ours@latest", data.path):
        assert contents_of(place(emulator, reference)) == everything
    assert contents_of(place(emulator, "net:1", "models")) == everything
    assert contents_of(place(emulator, one.id)) == {"train.py": "print(1)"}
    for missing in ("azureml:ours:2", "none@latest", "azureml://datastores/none/paths/x", f"{data.id}1"):
        with pytest.raises(AssetPathError):
            place(emulator, missing)


def test_versions_of_data_count_up_are_archived_and_restored(ml_client: MLClient, source: Path) -> None:
    for _ in range(2):
        ml_client.data.create_or_update(Data(name="ours", path=str(source), type="uri_folder"))

    assert ml_client.data.get("ours", label="latest").version == "2"
    ml_client.data.archive("ours", version="1")
    assert [found.version for found in ml_client.data.list("ours")] == ["2"]
    ml_client.data.restore("ours", version="1")
    assert [found.version for found in ml_client.data.list("ours")] == ["2", "1"]
    ml_client.data.archive("ours")
    assert list(ml_client.data.list()) == []
    ml_client.data.restore("ours")
    assert [(found.name, found.latest_version) for found in ml_client.data.list()] == [("ours", "2")]
    with pytest.raises(ResourceNotFoundError):
        ml_client.data.get("none", version="1")


def test_models_are_registered_listed_and_downloaded(ml_client: MLClient, source: Path, tmp_path: Path) -> None:
    ml_client.models.create_or_update(Model(name="net", path=str(source), type="custom_model"))
    ml_client.models.create_or_update(Model(name="net", path=str(source / "train.py"), description="only a file"))

    assert [found.version for found in ml_client.models.list("net")] == ["2", "1"]
    assert ml_client.models.get("net", label="latest").description == "only a file"
    ml_client.models.download("net", "1", tmp_path / "all")
    ml_client.models.download("net", "2", tmp_path / "one")
    assert contents(tmp_path / "all" / "net" / "source") == contents(source)
    assert contents(tmp_path / "one" / "net") == {"train.py": "print(1)"}
    ml_client.models.archive("net", version="2")
    assert [found.version for found in ml_client.models.list("net")] == ["1"]
    ml_client.models.restore("net", version="2")
    assert ml_client.models.get("net", label="latest").version == "2"


def test_the_path_of_a_version_does_not_change(arm: Arm) -> None:
    body = {"dataType": "uri_file", "dataUri": "azureml://datastores/workspaceblobstore/paths/a"}
    assert arm.call("PUT", "data/ours/versions/1", {"properties": body}).status == 201

    other = arm.call("PUT", "data/ours/versions/1", {"properties": {**body, "dataUri": f"{body['dataUri']}/b"}})
    folder = arm.call("PUT", "data/ours/versions/2", {"properties": {**body, "dataType": "uri_folder"}})

    assert (other.status, other.body["error"]["message"]) == (400, "Asset paths cannot be updated.")
    assert folder.status == 400
    assert arm.call("DELETE", "data/ours/versions/1").status == 200
    assert arm.call("GET", "data/ours/versions/1").status == 404


@pytest.fixture
def trained(arm: Arm, emulator: Emulator) -> str:
    """The name of a job with artifacts and two outputs, of which the second is empty."""
    environment = {"properties": {"image": "image:1"}}
    assert arm.call("PUT", "environments/e/versions/1", environment).status == 201
    job = {"jobType": "Command", "command": "train", "environmentId": "azureml:e:1"}
    own = {"uri": "azureml://datastores/workspaceblobstore/paths/mine/", "jobOutputType": "uri_folder"}
    outputs = {"own": own, "other": {"jobOutputType": "uri_folder"}}
    assert arm.call("PUT", "jobs/train", {"properties": {**job, "outputs": outputs}}).status == 201
    for path in ("workspaceartifactstore/paths/ExperimentRun/dcid.train", "workspaceblobstore/paths/mine"):
        file = place(emulator, f"azureml://datastores/{path}/model/MLmodel").file
        file.parent.mkdir(parents=True)
        file.write_text("flavors: {}")
    return "train"


def test_outputs_of_jobs_become_models(trained: str, ml_client: MLClient, emulator: Emulator) -> None:
    workspace = emulator.context.store.workspaces[0]
    start = f"{workspace.path}/datastores".removeprefix("/").replace("/providers/Microsoft.MachineLearningServices", "")

    def path(sent: str) -> str:
        model = ml_client.models.create_or_update(Model(name="net", path=sent, type="mlflow_model"))
        assert model.job_name == trained
        return str(model.path).removeprefix(f"azureml://{start}/")

    run = "workspaceartifactstore/paths/ExperimentRun/dcid.train/model"
    assert path(f"azureml://jobs/{trained}/outputs/artifacts/paths/model/") == run
    assert path("runs:/train/model") == run
    assert path("azureml://jobs/train/outputs/own/paths/model") == "workspaceblobstore/paths/mine/model"
    assert path("azureml://jobs/train/outputs/own/") == "workspaceblobstore/paths/mine"
    with pytest.raises(HttpResponseError, match="Job none not found"):
        path("azureml://jobs/none/outputs/artifacts/paths/model/")


def test_a_model_of_a_job_can_be_described_and_tagged_later(trained: str, ml_client: MLClient) -> None:
    path = f"azureml://jobs/{trained}/outputs/artifacts/paths/model/"
    ml_client.models.create_or_update(Model(name="net", path=path, type="custom_model"))

    model = ml_client.models.get("net", version="1")
    model.description, model.tags["checked"] = "good", "yes"
    ml_client.models.create_or_update(model)

    changed = ml_client.models.get("net", version="1")
    assert (changed.description, changed.tags, changed.job_name) == ("good", {"checked": "yes"}, trained)


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("artifacts/paths/nope/", "NoMatchingArtifactsFoundFromJob", "No artifacts matching nope found from Job."),
        ("artifacts/paths/outputs", "NoMatchingArtifactsFoundFromJob", "No artifacts matching outputs found from Job."),
        ("own/paths/nope", "NoMatchingArtifactsFoundFromJob", "No artifacts matching nope found from Job."),
        ("other", "NoMatchingArtifactsFoundFromJob", "No artifacts matching other found from Job."),
        ("default/paths/nope", "NoMatchingOutputFoundFromJob", "Job output default not found."),
        ("none/paths/x", "NoMatchingOutputFoundFromJob", "Job output none not found."),
    ],
)
def test_a_model_of_what_a_job_has_not_written_is_refused(
    trained: str, ml_client: MLClient, path: str, code: str, words: str
) -> None:
    model = Model(name="net", path=f"azureml://jobs/{trained}/outputs/{path}", type="custom_model")

    with pytest.raises(HttpResponseError) as refused:
        ml_client.models.create_or_update(model)

    error = refused.value.error
    assert error is not None
    assert (refused.value.status_code, error.code, error.message) == (400, "UserError", "The request is invalid.")
    [detail] = error.details
    assert (detail.code, detail.message) == (code, words)
    assert list(ml_client.models.list()) == []


def test_datastores_are_made_changed_and_deleted(ml_client: MLClient) -> None:
    default = ml_client.datastores.get_default()
    assert isinstance(default, AzureBlobDatastore)
    keyed = AccountKeyConfiguration(account_key="a2V5")
    ml_client.datastores.create_or_update(
        AzureBlobDatastore(name="keyed", account_name="other", container_name="c", credentials=keyed)
    )
    ml_client.datastores.create_or_update(
        AzureBlobDatastore(name="bare", account_name=default.account_name, container_name=default.container_name)
    )
    ml_client.datastores.create_or_update(AzureDataLakeGen2Datastore(name="lake", account_name="a", filesystem="f"))

    assert [found.name for found in ml_client.datastores.list()][:3] == ["lake", "bare", "keyed"]
    # As on Azure: the SDK asks for a secret that expires, and gets a SAS for the key.
    secret = ml_client.datastores.get("keyed", include_secrets=True).credentials
    assert isinstance(secret, SasTokenConfiguration)
    assert "sig=" in str(secret.sas_token)
    assert isinstance(ml_client.datastores.get("keyed").credentials, AccountKeyConfiguration)
    assert isinstance(ml_client.datastores.get("bare").credentials, NoneCredentialConfiguration)
    ml_client.datastores.delete("keyed")
    assert "keyed" not in [found.name for found in ml_client.datastores.list()]
    with pytest.raises(ResourceNotFoundError):
        ml_client.datastores.get("keyed")
    with pytest.raises(HttpResponseError):
        ml_client.datastores.delete("workspaceblobstore")


def test_an_upload_without_a_key_uses_the_clients_own_credential(
    ml_client: MLClient, emulator: Emulator, source: Path
) -> None:
    default = ml_client.datastores.get_default()
    assert isinstance(default, AzureBlobDatastore)
    ml_client.datastores.create_or_update(
        AzureBlobDatastore(name="bare", account_name=default.account_name, container_name=default.container_name)
    )

    made = ml_client.data.create_or_update(Data(name="ours", path=str(source), type="uri_folder", datastore="bare"))

    assert "/datastores/bare/paths/" in str(made.path)
    assert contents_of(place(emulator, made.path)) == contents(source)


def test_every_workspace_has_four_datastores(ml_client: MLClient) -> None:
    names = [found.name for found in ml_client.datastores.list()]

    assert sorted(map(str, names)) == [
        *("workspaceartifactstore", "workspaceblobstore", "workspacefilestore", "workspaceworkingdirectory")
    ]
    assert ml_client.datastores.get_default().name == "workspaceblobstore"
