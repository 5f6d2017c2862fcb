"""Jobs that another process has submitted, and could save nothing of: their tags tell of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.azure.jobs.handle import JobHandle
from zenml_azureml.azure.jobs.run_history import RunDetails
from zenml_azureml.lifecycle.attempts import attempt_from_job, target_from_tags
from zenml_azureml.lifecycle.observation import reason_of_end
from zenml_azureml.lifecycle.recovery import Attempt, RetryReason
from zenml_azureml.settings.step_plan import plan_of

PLAN = plan_of(
    AzureMLStepOperatorSettings(
        instance_type="Standard_DS3_v2",
        job_tier="spot",
        fallback=[
            {"mode": "compute-cluster", "compute_name": "gpus", "size": "Standard_NC8as_T4_v3", "instance_count": 2},
            {"compute_target_name": "on-prem"},
        ],
    )
)


@pytest.mark.parametrize(
    ("tags", "target"),
    [
        ({"zenml_step": "train"}, 0),  # the first job of a step, at the first of its places
        ({"zenml_target": "2"}, 2),
        ({}, 1),  # not known
        ({"zenml_target": "7"}, 1),  # there is no such place
        ({"zenml_target": "next"}, 1),
    ],
)
def test_a_job_tells_at_which_place_it_is(tags: dict[str, str], target: int) -> None:
    assert target_from_tags(tags, PLAN, 1) == target


@pytest.mark.parametrize(
    ("target", "place", "size", "usd"),
    [
        ("0", "serverless compute (Standard_DS3_v2, spot)", "Standard_DS3_v2", 6.12),
        ("1", "the compute cluster `gpus` (Standard_NC8as_T4_v3)", "Standard_NC8as_T4_v3", 6.12),
        ("2", "the compute `on-prem`", "", None),
    ],
)
def test_an_attempt_of_which_nothing_was_saved_is_known_by_its_job(
    target: str, place: str, size: str, usd: float | None
) -> None:
    tags = {"zenml_target": target} | ({} if usd is None else {"zenml_usd_per_hour_all_nodes": str(usd)})
    job = JobHandle("zenml-1", studio_url="https://studio/", tags=tags)

    told = attempt_from_job(job, Attempt(0, "zenml-1", reason=RetryReason.QUEUE_TIMEOUT), PLAN)

    assert told == Attempt(
        int(target), "zenml-1", place, size, usd, studio_url="https://studio/", reason=RetryReason.QUEUE_TIMEOUT
    )


def test_what_was_saved_of_an_attempt_stays() -> None:
    saved = Attempt(1, "zenml-1", "the compute cluster `gpus`")

    assert attempt_from_job(JobHandle("zenml-1", tags={"zenml_target": "2"}), saved, PLAN) is saved
    assert attempt_from_job(JobHandle("zenml-1"), Attempt(0, "zenml-1"), PLAN) == Attempt(0, "zenml-1")
    of_another = attempt_from_job(JobHandle("zenml-1-2", tags={"zenml_target": "2"}), Attempt(0, "zenml-1"), PLAN)
    assert of_another == Attempt(0, "zenml-1")


@pytest.mark.parametrize(
    ("given_up", "ran", "reason"),
    [
        (True, None, RetryReason.QUEUE_TIMEOUT),
        (True, timedelta(seconds=20), RetryReason.QUEUE_TIMEOUT),  # it got its machines when it was being cancelled
        (True, timedelta(hours=3), None),  # the cancel had no effect, and somebody else has cancelled it
        (False, None, None),
    ],
)
def test_a_job_that_was_cancelled_for_having_waited_is_told_from_one_that_somebody_cancelled(
    given_up: bool, ran: timedelta | None, reason: RetryReason | None
) -> None:
    ended = datetime(2026, 1, 1, tzinfo=timezone.utc)
    details = RunDetails("Canceled", {}, "", started=None if ran is None else ended - ran, ended=ended)
    job = JobHandle("zenml-1", status="Canceled", details=details)

    assert reason_of_end(job, Attempt(0, "zenml-1", reason=RetryReason.QUEUE_TIMEOUT if given_up else None)) is reason
