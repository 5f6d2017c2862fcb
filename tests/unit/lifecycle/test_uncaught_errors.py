"""What a process shows that ends because ZenML's server is unavailable."""

from __future__ import annotations

import sys

import pytest
import requests

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.uncaught_errors import UncaughtErrors

AWAY = requests.ConnectionError("the server is away")


@pytest.fixture
def shown_by_python(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """The errors that reach the hook that was there before."""
    shown: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _traceback: shown.append(error))
    return shown


def test_the_reports_of_the_steps_stand_in_the_place_of_a_traceback(
    shown_by_python: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    uncaught = UncaughtErrors()
    for name in ("train", "evaluate", "train"):
        uncaught.show(AzureMLError(f"The Azure ML job of step `{name}` failed."))

    sys.excepthook(type(AWAY), AWAY, None)

    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.splitlines() == [
        "ZenML's server is unavailable: the server is away",
        "The Azure ML job of step `train` failed.",
        "The Azure ML job of step `evaluate` failed.",
    ]
    assert shown_by_python == []


def test_another_error_is_shown_as_before(
    shown_by_python: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    uncaught, error = UncaughtErrors(), ValueError("a shape does not fit")
    uncaught.show(AzureMLError("The Azure ML job of step `train` failed."))

    sys.excepthook(type(error), error, None)

    assert shown_by_python == [error]
    assert capsys.readouterr().err == ""


def test_the_hook_is_installed_with_the_first_report_and_once(shown_by_python: list[BaseException]) -> None:
    before, uncaught = sys.excepthook, UncaughtErrors()
    assert sys.excepthook is before
    uncaught.show(AzureMLError("one"))
    installed = sys.excepthook
    uncaught.show(AzureMLError("two"))

    assert installed is not before
    assert sys.excepthook is installed
    assert shown_by_python == []
