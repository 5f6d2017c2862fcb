"""Next steps for pipelines that cannot be compiled, for errors that no real stack here has."""

from __future__ import annotations

import pytest
import requests
from zenml import pipeline
from zenml.exceptions import StackValidationError

from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.job_admin.compile_advice import compile_advice, import_advice


@pipeline
def training() -> None: ...


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (requests.ConnectionError("refused"), "Check the connection to the ZenML server: `zenml status`."),
        (ImportError("No module named 's3fs'"), "Install the packages of the active stack's components"),
        (StackValidationError("no tracker"), "Activate the stack of the pipeline with `zenml stack set NAME`"),
        (ValueError("Unable to resolve settings key because the stack has no default component"), "Activate the stack"),
        (AzureMLSettingsError("`size` is misspelt.", hint="Did you mean `sizes`?"), "Did you mean `sizes`?"),
        (RuntimeError("anything else"), f"Fix the code of the pipeline: `{__file__}`, from line "),
    ],
)
def test_the_advice_is_about_the_kind_of_error(error: Exception, advice: str) -> None:
    assert compile_advice(error, training).startswith(advice)


def test_the_cause_of_an_error_has_its_own_advice() -> None:
    wrapped = ValueError("1 validation error")
    wrapped.__cause__ = AzureMLSettingsError("`size` is misspelt.", hint="Did you mean `sizes`?")

    assert compile_advice(wrapped, training) == "Did you mean `sizes`?"


@pytest.mark.parametrize(
    ("missing", "advice"),
    [
        ("train", "Run this command in the folder in which you run the pipeline."),
        ("team", "Run this command in the folder in which you run the pipeline."),
        ("torch", "Install what has the module `torch` in the environment of this command"),
        ("team.train.models", "Install what has the module `team.train.models`"),
    ],
)
def test_a_module_that_is_missing_is_the_one_that_was_named_or_another(missing: str, advice: str) -> None:
    named = "train" if missing == "train" else "team.train"

    assert import_advice(ModuleNotFoundError(missing, name=missing), named).startswith(advice)
