"""Submitting: how many requests and processes it takes once everything is known."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml.operations import _job_operations
from azure.core.credentials import TokenCredential

from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.azure.sdk.git_properties import cache_git_properties
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.specs.job import JobSpec

SOURCE = Path(__file__).parents[2]


@pytest.fixture
def submit(credential: TokenCredential) -> Callable[[str], None]:
    """Submits a job of that name; the environment of all of them is known."""
    name = WorkspaceName()
    address = WorkspaceAddress(name.subscription_id, name.resource_group, name.name)
    submitter = JobSubmitter(WorkspaceConnection(address, lambda: credential))

    def submit(name: str) -> None:
        request = JobSpec(name, name, "tests", "image", "true", environment_variables={}, tags={}, own_tag="")
        submitter.submit(request, ANYWHERE)

    submit("first")
    return submit


def test_a_further_job_takes_one_request_on_the_one_connection(
    emulator: Emulator, submit: Callable[[str], None]
) -> None:
    before = requests_of(emulator)

    for number in range(5):
        submit(f"job-{number}")

    sent = requests_of(emulator)[len(before) :]
    assert [(entry["method"], entry["path"].rpartition("/")[2]) for entry in sent] == [
        ("PUT", f"job-{number}") for number in range(5)
    ]
    assert len({entry["connection"] for entry in [*before, *sent] if "/workspaces/" in entry["path"]}) == 1


def test_a_further_job_starts_no_process(submit: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    class Recorded(subprocess.Popen[Any]):
        # Recorded, not refused: the SDK swallows whatever fails while it looks for a git work tree.
        def __init__(self, arguments: Any, **options: Any) -> None:
            started.append(arguments)
            super().__init__(arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    submit("second")
    assert started == []

    subprocess.run(["true"], check=True)  # what it would have noticed
    assert started == [["true"]]


def test_the_sdk_finds_out_about_git_once_and_says_the_same_for_each_job(submit: Callable[[str], None]) -> None:
    """Fails where the SDK's private name has moved."""
    find: Any = _job_operations.get_git_properties  # type: ignore[attr-defined]
    cache_git_properties()

    assert _job_operations.get_git_properties is find  # type: ignore[attr-defined]
    first = find()
    first["changed"] = "by the caller"
    assert "changed" not in find()


def test_the_emulated_job_has_the_git_properties(emulator: Emulator, submit: Callable[[str], None]) -> None:
    submit("second")

    first, second = (
        {key: value for key, value in job.properties["properties"].items() if ".git." in key}
        for job in emulator.context.store.workspaces[0].jobs.values()
    )
    find: Any = _job_operations.get_git_properties  # type: ignore[attr-defined]
    assert first == second == find()
    assert bool(first) is (SOURCE / ".git").exists()
