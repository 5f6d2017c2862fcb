"""Where a step goes on after its job was preempted, got no machines or waited for too long."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml import AzureMLStepOperatorSettings
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.lifecycle.recovery import (
    Attempt,
    Limits,
    RetryReason,
    attempt_from,
    cost,
    history,
    next_target,
)
from zenml_azureml.settings.plan import resolve, settings_of, wants_checkpoints

LIMITS = st.builds(Limits, targets=st.integers(1, 4), max_preemptions=st.integers(0, 3))


def ended(attempts: list[Attempt], reason: RetryReason) -> list[Attempt]:
    return [*attempts[:-1], replace(attempts[-1], reason=reason)]


@given(limits=LIMITS, reasons=st.lists(st.sampled_from(RetryReason), min_size=12, max_size=12))
def test_a_step_goes_through_its_places_in_order_and_comes_to_an_end(
    limits: Limits, reasons: list[RetryReason]
) -> None:
    attempts = [Attempt(0, "job")]
    for number, reason in enumerate(reasons, start=2):
        following = next_target(attempts, reason, limits)
        if following is None:
            break
        attempts = [*ended(attempts, reason), Attempt(following, f"job-{number}")]
    else:
        pytest.fail("It goes on for ever.")

    places = [attempt.target for attempt in attempts]
    assert places == sorted(places)
    assert set(places) == set(range(limits.targets))  # none is left out
    for place in range(limits.targets - 1):
        assert places.count(place) == 1  # where there is another place, none is tried twice
    assert places.count(limits.targets - 1) <= 1 + limits.max_preemptions
    again = [before for before, after in pairwise(attempts) if before.target == after.target]
    assert all(attempt.reason is RetryReason.PREEMPTED for attempt in again)


@given(reasons=st.lists(st.sampled_from(RetryReason), max_size=6), limits=LIMITS)
def test_another_process_decides_the_same_from_what_the_server_has_kept(
    reasons: list[RetryReason], limits: Limits
) -> None:
    attempts = [Attempt(0, "job", reason=reason) for reason in [*reasons, RetryReason.PREEMPTED]]
    kept = [attempt_from(json.loads(json.dumps(attempt.as_metadata()))) for attempt in attempts]

    assert kept == attempts
    for reason in RetryReason:
        assert next_target(kept, reason, limits) == next_target(attempts, reason, limits)


def test_preemptions_at_an_earlier_target_do_not_count_at_the_last_one() -> None:
    limits = Limits(targets=2, max_preemptions=1)
    first, again = (Attempt(target, "job", reason=RetryReason.PREEMPTED) for target in (0, 1))

    assert next_target([first, Attempt(1, "job-2")], RetryReason.PREEMPTED, limits) == 1
    assert next_target([first, again, Attempt(1, "job-3")], RetryReason.PREEMPTED, limits) is None


def test_the_cost_of_all_attempts_is_the_time_of_each_at_its_own_price() -> None:
    def moment(hour: int) -> datetime:
        return datetime(2026, 1, 1, hour, tzinfo=timezone.utc)

    spot = Attempt(0, "a", usd_per_hour=0.5, reason=RetryReason.PREEMPTED, started=moment(1), ended=moment(3))
    never_ran = Attempt(1, "b", usd_per_hour=9.0, reason=RetryReason.QUEUE_TIMEOUT, ended=moment(4))
    dedicated = Attempt(2, "c", usd_per_hour=2.0, started=moment(4), ended=moment(5))

    assert cost([spot, never_ran, dedicated]) == pytest.approx(3.0)
    assert cost([spot, Attempt(1, "", reason=RetryReason.NO_CAPACITY), dedicated]) == pytest.approx(3.0)
    of_unknown_price = Attempt(0, "a", started=moment(1), ended=moment(3))
    assert of_unknown_price.as_metadata()["usd"] == "unknown"
    assert cost([dedicated, of_unknown_price]) is None  # and not that of a part
    assert cost([dedicated, Attempt(1, "b", ended=moment(4))]) == pytest.approx(2.0)  # which has never run
    assert attempt_from(spot.as_metadata()) == spot


def test_the_history_tells_each_attempt_with_its_end() -> None:
    first = Attempt(0, "zenml-1", "serverless compute", reason=RetryReason.PREEMPTED, says="Nodes got\npre-empted.")
    second = Attempt(1, "", "the compute `gpus`", reason=RetryReason.NO_CAPACITY)

    assert history([first]) == ""
    assert history([first, second]).splitlines() == [
        "2 attempts were made:",
        "  1. serverless compute, job `zenml-1`: preempted (Azure: Nodes got pre-empted.)",
        "  2. the compute `gpus`, no job: no capacity",
    ]


# The settings of each place


def test_each_place_has_the_steps_settings_with_its_own_on_top() -> None:
    settings = AzureMLStepOperatorSettings(
        instance_type="Standard_NC8as_T4_v3",
        job_tier="Spot",
        timeout_minutes=90,
        fallback=[
            {"job_tier": "Standard", "queue_timeout_minutes": 5},
            {"mode": "compute-cluster", "compute_name": "gpus", "compute_size": "Standard_NC16as_T4_v3"},
            {"compute_target_name": "on-prem"},
        ],
    )

    places = [settings_of(settings, target) for target in range(4)]

    assert [resolve(place).compute.__class__.__name__ for place in places] == [
        *("Serverless", "Serverless", "ComputeCluster", "ExistingCompute"),
    ]
    assert [place.job_tier for place in places] == ["spot", "standard", None, None]
    assert [place.queue_timeout_minutes for place in places] == [None, 5, None, None]
    assert {place.timeout_minutes for place in places} == {90}
    assert places[2].size == "Standard_NC16as_T4_v3"
    # Nothing of one place is left over as a warning at another.
    assert [resolve(place).warnings for place in places] == [()] * 4
    assert all(resolve(place).options.checkpoints for place in places)


@pytest.mark.parametrize(
    ("fallback", "words"),
    [
        ([{"teir": "dedicated"}], r"there is no `teir` in `fallback\[0\]`. Did you mean `tier`\?"),
        ([{"job_tier": "standard"}, {"display_name": "x"}], r"`fallback\[1\]`: `display_name` does not select compute"),
        ([{"job_tier": "cheap"}], r"`fallback\[0\]`: .*`job_tier='cheap'`: input should be"),
        ([{"mode": "compute-cluster"}], r"`fallback\[0\]`: `mode='compute-cluster'` needs a `compute_name`"),
        ([{"compute_name": "1 st"}], r"`fallback\[0\]`: `compute_name='1 st'`: a compute's name"),
        (["dedicated"], r"`fallback.0='dedicated'`: input should be a valid dictionary"),
        ("dedicated", r"`fallback='dedicated'`: input should be a valid list"),
    ],
)
def test_a_fallback_is_checked_as_the_settings_themselves_are(fallback: Any, words: str) -> None:
    with pytest.raises(AzureMLSettingsError, match=words):
        AzureMLStepOperatorSettings(fallback=fallback)


def test_a_fallback_comes_back_from_what_zenml_stores() -> None:
    settings = AzureMLStepOperatorSettings(
        fallback=[{"mode": "compute-cluster", "compute_name": "gpus", "tier": "Dedicated"}]
    )

    stored = json.loads(settings.model_dump_json())

    assert stored == {"fallback": [{"mode": "compute-cluster", "compute_name": "gpus", "tier": "dedicated"}]}
    assert AzureMLStepOperatorSettings(**stored) == settings


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, False),
        ({"job_tier": "spot"}, True),
        ({"job_tier": "spot", "checkpoints": False}, False),
        ({"mode": "compute-cluster", "compute_name": "gpus", "tier": "low_priority"}, True),
        ({"fallback": [{"job_tier": "standard"}]}, True),
        ({"checkpoints": True}, True),
    ],
)
def test_there_is_a_checkpoint_folder_where_it_is_asked_for_or_of_use(settings: dict[str, Any], wanted: bool) -> None:
    assert wants_checkpoints(AzureMLStepOperatorSettings(**settings)) is wanted


@pytest.mark.parametrize("limit", [0, 1, 2, 5])
@pytest.mark.parametrize("knows_its_reason", [False, True], ids=["its reason follows", "it knows its reason"])
def test_a_preempted_job_is_submitted_again_as_often_as_the_setting_says(limit: int, *, knows_its_reason: bool) -> None:
    attempts = [Attempt(0, "job-1")]
    resubmitted = 0
    while True:
        asked = ended(attempts, RetryReason.PREEMPTED) if knows_its_reason else attempts
        if next_target(asked, RetryReason.PREEMPTED, Limits(1, limit)) is None:
            break
        resubmitted += 1
        attempts = [*ended(attempts, RetryReason.PREEMPTED), Attempt(0, f"job-{resubmitted + 1}")]

    assert resubmitted == limit


def test_preemptions_at_another_target_do_not_count() -> None:
    attempts = (
        Attempt(0, "a", reason=RetryReason.PREEMPTED),
        Attempt(1, "b", reason=RetryReason.NO_CAPACITY),
        Attempt(1, "c"),
    )

    assert next_target(attempts, RetryReason.PREEMPTED, Limits(2, 1)) == 1
