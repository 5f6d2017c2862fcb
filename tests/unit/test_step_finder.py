"""Which step `spec` is about: what is said where there is none."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from zenml.client import Client

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.step_lookup import compile_pipeline, find_step_run, operator_for
from zenml_azureml.run_store.job_names import job_name_of

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


STEP_RUN = UUID("0b2f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11")
IN_RUN = UUID("1c3f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions to a server, which has a step run, and a run with another."""
    asked: list[str] = []

    def get_run_step(_client: Client, id_: UUID) -> Any:
        asked.append("step run")
        if id_ not in (STEP_RUN, IN_RUN):
            raise KeyError(id_)
        return SimpleNamespace(id=id_)

    def list_run_steps(_client: Client, *, name: str, **_options: Any) -> Any:
        asked.append("latest")
        return SimpleNamespace(items=[SimpleNamespace(id=STEP_RUN)] if name == "trainer" else [])

    def get_pipeline_run(_client: Client, name: str, **_options: Any) -> Any:
        asked.append("run")
        if name != "training-1":
            raise KeyError(name)
        return SimpleNamespace(steps={"trainer": SimpleNamespace(id=IN_RUN)})

    for question in (get_run_step, list_run_steps, get_pipeline_run):
        monkeypatch.setattr(Client, question.__name__, question)
    return asked


@pytest.mark.parametrize(
    ("step", "run", "found", "questions"),
    [
        (str(STEP_RUN), None, STEP_RUN, ["step run"]),
        (job_name_of(STEP_RUN), None, STEP_RUN, ["step run"]),
        (job_name_of(STEP_RUN, 2), "training-1", STEP_RUN, ["step run"]),
        ("trainer", None, STEP_RUN, ["latest"]),
        ("trainer", "training-1", IN_RUN, ["run", "step run"]),
    ],
)
def test_a_past_step_is_named_by_its_id_by_its_job_or_by_its_name(
    step: str, run: str | None, found: UUID, questions: list[str], asked: list[str]
) -> None:
    assert find_step_run(step, run).id == found
    assert asked == questions


@pytest.mark.parametrize(
    ("step", "run", "words"),
    [
        ("2d4f0f8e-5a3e-4a52-9e0e-3b1c1b8f9a11", None, "The ZenML server has no step run"),
        ("loader", None, "No run has a step `loader` yet"),
        ("loader", "training-1", "The run `training-1` has no step `loader`. It has `trainer`"),
        ("trainer", "training-2", "training-2"),
    ],
)
@pytest.mark.usefixtures("asked")
def test_a_past_step_that_does_not_exist_is_named(step: str, run: str | None, words: str) -> None:
    with pytest.raises(AzureMLError, match=re.escape(words)):
        find_step_run(step, run)
