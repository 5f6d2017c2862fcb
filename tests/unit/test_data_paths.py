"""The paths of a step's data: in a job, and on the machine of a user who debugs the step."""

from __future__ import annotations

from pathlib import Path

import pytest

from zenml_azureml import data_paths, input_path, input_uri, output_path, output_uri


@pytest.fixture(autouse=True)
def _outside_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZUREML_RUN_ID", "ZENML_AZUREML_INPUT_DIR", "ZENML_AZUREML_OUTPUT_DIR"):
        monkeypatch.delenv(name, raising=False)
    data_paths._temporary.cache_clear()


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a job; folders of this machine have no effect there."""
    monkeypatch.setenv("AZUREML_RUN_ID", "job")
    monkeypatch.setenv("ZENML_AZUREML_INPUT_DIR", "/elsewhere")
    monkeypatch.setenv("ZENML_AZUREML_OUTPUT_DIR", "/elsewhere")
    return monkeypatch


@pytest.mark.parametrize("name", ["Train", "TRAIN"])
def test_in_a_job_an_input_is_where_azure_ml_has_put_it(name: str, job: pytest.MonkeyPatch) -> None:
    job.setenv(f"AZURE_ML_INPUT_{name}", "/mnt/train")
    job.setenv("AZURE_ML_OUTPUT_Train", "/mnt/other")

    assert input_path("Train") == Path("/mnt/train")


@pytest.mark.parametrize("name", ["model", "MODEL"])
def test_in_a_job_an_output_is_where_azure_ml_keeps_it(name: str, job: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job.setenv(f"AZURE_ML_OUTPUT_{name}", str(tmp_path / "deep" / "model"))

    assert output_path("model") == tmp_path / "deep" / "model"
    assert (tmp_path / "deep").is_dir()
    assert not output_path("model").exists()  # it may be a file: Azure ML creates folders itself


@pytest.mark.parametrize("path", [input_path, output_path, input_uri, output_uri])
def test_a_job_without_it_names_the_setting_and_what_there_is(path: object, job: pytest.MonkeyPatch) -> None:
    kind = path.__name__.partition("_")[0]  # type: ignore[attr-defined]
    job.setenv(f"AZURE_ML_{kind.upper()}_one", "/mnt/one")
    job.setenv(f"AZURE_ML_{kind.upper()}_two", "/mnt/two")

    with pytest.raises(RuntimeError, match=rf"no {kind} `missing`.*`{kind}s`.*`one`, `two`\."):
        path("missing")  # type: ignore[operator]


def test_direct_data_has_an_address_and_no_path(job: pytest.MonkeyPatch) -> None:
    job.setenv("AZURE_ML_INPUT_train", "azureml://datastores/d/paths/train/")
    job.setenv("AZURE_ML_OUTPUT_model", "azureml://datastores/d/paths/model/")

    assert input_uri("train") == "azureml://datastores/d/paths/train/"
    assert output_uri("model") == "azureml://datastores/d/paths/model/"
    with pytest.raises(RuntimeError, match=r'`zenml_azureml.input_uri\("train"\)`'):
        input_path("train")
    with pytest.raises(RuntimeError, match=r'`zenml_azureml.output_uri\("model"\)`'):
        output_path("model")


def test_mounted_data_has_a_path_and_no_address(job: pytest.MonkeyPatch) -> None:
    job.setenv("AZURE_ML_INPUT_train", "/mnt/train")

    with pytest.raises(RuntimeError, match=r'`zenml_azureml.input_path\("train"\)`'):
        input_uri("train")


def test_outside_of_a_job_an_input_is_in_the_folder_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train").mkdir()
    monkeypatch.setenv("ZENML_AZUREML_INPUT_DIR", str(tmp_path))

    assert input_path("train") == tmp_path / "train"
    with pytest.raises(RuntimeError, match=f"{tmp_path}/missing.*ZENML_AZUREML_INPUT_DIR"):
        input_path("missing")
    for name in ("../train", "", "a/b"):
        with pytest.raises(RuntimeError, match="not the name"):
            input_path(name)


def test_outside_of_a_job_without_the_variable_an_input_is_an_error_that_names_it() -> None:
    with pytest.raises(RuntimeError, match="Set ZENML_AZUREML_INPUT_DIR"):
        input_path("train")
    with pytest.raises(RuntimeError, match="has no address here"):
        input_uri("train")


def test_outside_of_a_job_an_output_is_in_the_folder_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENML_AZUREML_OUTPUT_DIR", str(tmp_path / "mine"))

    assert output_path("model") == tmp_path / "mine" / "model"
    assert output_path("model").is_dir()
    output_path("report", is_file=True).write_text("a file")


def test_outside_of_a_job_an_output_is_otherwise_in_a_temporary_folder_of_this_process() -> None:
    with pytest.warns(UserWarning, match="ZENML_AZUREML_OUTPUT_DIR"):
        folder = output_path("model")

    assert list(folder.iterdir()) == []
    assert output_path("model") == folder
    folder.rmdir()
    folder.parent.rmdir()
