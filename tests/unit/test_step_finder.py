"""Which step `spec` is about: what is said where there is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.step_lookup import compile_pipeline, operator_for

OPERATORS: list[Any] = [SimpleNamespace(name="first"), SimpleNamespace(name="second")]

MODULE = """
from zenml import pipeline

@pipeline
def training(): ...
"""


@pytest.mark.parametrize("path", ["train:", "train:training", ":training.trainer", "train:training."])
def test_a_step_in_code_is_named_with_its_module_and_its_pipeline(path: str) -> None:
    with pytest.raises(AzureMLError, match=r"is not of the form `MODULE:PIPELINE\.STEP`"):
        compile_pipeline(path, None)


def test_a_module_that_cannot_be_imported_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_module.py").write_text("1 / 0")

    with pytest.raises(AzureMLError) as missing:
        compile_pipeline("missing_module:a.b", None)
    with pytest.raises(AzureMLError) as broken:
        compile_pipeline("./broken_module.py:a.b", None)

    assert missing.value.summary == (
        "Failed to import the module `missing_module`: ModuleNotFoundError: No module named 'missing_module'"
    )
    assert broken.value.summary == ("Failed to import the module `broken_module`: ZeroDivisionError: division by zero")
    assert missing.value.hint == "Run this command in the folder in which you run the pipeline."
    assert broken.value.hint == f"Fix the code: `{tmp_path}/broken_module.py`, line 1."


def test_a_module_without_that_pipeline_is_told_which_ones_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "module_of_a_pipeline.py").write_text(MODULE)

    with pytest.raises(AzureMLError) as refused:
        compile_pipeline("module_of_a_pipeline:trainer.step", None)

    assert refused.value.summary == "`module_of_a_pipeline` has no pipeline `trainer`. It has `training`."


def test_the_step_operator_is_the_one_that_the_step_names() -> None:
    assert operator_for(True, "trainer", OPERATORS).name == "first"
    assert operator_for("second", "trainer", OPERATORS).name == "second"
    with pytest.raises(AzureMLError, match="`third`, which is not an Azure ML step operator of the active stack"):
        operator_for("third", "trainer", OPERATORS)


def test_a_step_of_the_orchestrator_has_no_job() -> None:
    with pytest.raises(AzureMLError) as refused:
        operator_for(None, "trainer", OPERATORS)

    assert refused.value.summary == (
        "The step `trainer` has no `step_operator`, so it runs in the orchestrator, not on Azure ML."
    )
    assert refused.value.hint == 'To run it on Azure ML, write `@step(step_operator="first")`.'
