"""What a submitter does when Azure refuses a job that may exist already."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError, ServiceRequestError

from zenml_azureml.azure.jobs import submitter as module
from zenml_azureml.azure.jobs.submitter import JobSubmitter

REFUSAL = ResourceExistsError("immutable")
MISSING, LOST = ResourceNotFoundError("no such job"), ServiceRequestError("reset")
MISSING.status_code = 404


def submitter(answer: Any) -> JobSubmitter:
    def get(_name: str) -> Any:
        if isinstance(answer, AzureError):
            raise answer
        return answer

    client = SimpleNamespace(jobs=SimpleNamespace(get=get))
    return JobSubmitter(cast("Any", SimpleNamespace(one_try_client=client)))


def test_the_job_that_exists_is_the_answer() -> None:
    job = SimpleNamespace(name="train")

    assert cast("Any", submitter(job)._find("train", REFUSAL)) is job


# The last one: the job may exist, and to take this answer for "no such job" would lose it.
@pytest.mark.parametrize(("answer", "raised"), [(MISSING, REFUSAL), (LOST, LOST)])
def test_a_look_up_that_failed_is_no_proof_that_there_is_no_job(answer: AzureError, raised: AzureError) -> None:
    with pytest.raises(AzureError) as found:
        submitter(answer)._find("train", REFUSAL)

    assert found.value is raised
    assert found.value.__cause__ is (None if raised is REFUSAL else REFUSAL)


def test_whoever_submits_has_the_sdk_ask_git_once_and_not_for_each_job(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "cache_git_properties", lambda: asked.append("once"))
    submitter(None)

    assert asked == ["once"]
