"""Code, data, models and datastores as the unmodified SDK uses them, files and all."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Data, Model
from azure.ai.ml.entities._assets import Code
from azure.core.exceptions import ResourceNotFoundError

from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.services.aml.asset_paths import AssetPathError, Place, find_place


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


def test_every_workspace_has_four_datastores(ml_client: MLClient) -> None:
    names = [found.name for found in ml_client.datastores.list()]

    assert sorted(map(str, names)) == [
        *("workspaceartifactstore", "workspaceblobstore", "workspacefilestore", "workspaceworkingdirectory")
    ]
    assert ml_client.datastores.get_default().name == "workspaceblobstore"
