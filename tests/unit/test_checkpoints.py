"""The folder for what a step goes on from: in a job, and on the machine of whoever debugs the step."""

from __future__ import annotations

from pathlib import Path

import pytest

from zenml_azureml import checkpoint_dir, checkpoints


@pytest.fixture(autouse=True)
def _outside_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZUREML_RUN_ID", raising=False)
    monkeypatch.delenv("ZENML_AZUREML_CHECKPOINT_DIR", raising=False)
    checkpoints._temporary.cache_clear()


@pytest.mark.parametrize("variable", ["AZURE_ML_OUTPUT_checkpoints", "AZURE_ML_OUTPUT_CHECKPOINTS"])
def test_in_a_job_it_is_where_azure_ml_has_mounted_it(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREML_RUN_ID", "job")
    monkeypatch.setenv("ZENML_AZUREML_CHECKPOINT_DIR", "/elsewhere")
    monkeypatch.setenv(variable, str(tmp_path / "mounted"))

    assert checkpoint_dir() == tmp_path / "mounted"
    assert checkpoint_dir().is_dir()


def test_a_job_without_one_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZUREML_RUN_ID", "job")

    with pytest.raises(RuntimeError, match="`checkpoints=True`"):
        checkpoint_dir()


def test_outside_of_a_job_it_is_the_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENML_AZUREML_CHECKPOINT_DIR", str(tmp_path / "mine"))

    assert checkpoint_dir() == tmp_path / "mine"
    assert checkpoint_dir().is_dir()


def test_outside_of_a_job_it_is_otherwise_an_empty_folder_of_this_process() -> None:
    with pytest.warns(UserWarning, match="ZENML_AZUREML_CHECKPOINT_DIR"):
        folder = checkpoint_dir()

    assert list(folder.iterdir()) == []
    assert checkpoint_dir() == folder
    folder.rmdir()
