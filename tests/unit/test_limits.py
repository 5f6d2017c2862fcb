"""Azure ML's limits of a job.

Source: Microsoft, "Manage and increase quotas and limits for resources with Azure Machine Learning": a run has 50 tags
with keys of 100 and values of 1,000 characters, a display name of 256 and a description of 5,000; a job lives 21 days,
or 7 on low priority.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.ai.ml.constants import TimeZone
from hypothesis import given
from hypothesis import strategies as st
from zenml.config import DockerSettings

from zenml_azureml import AzureMLStepOperatorSettings, tags
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.settings.plan import resolve
from zenml_azureml.specs.job import JobOptions
from zenml_azureml.specs.limits import shortened
from zenml_azureml.submission.job_builder import StepFacts, request_for

FACTS = StepFacts(
    pipeline="train",
    run="run",
    run_id="7e1a",
    run_tag="zenml_run_7e1a",
    run_url="https://zenml.example/runs/7e1a",
    step="fit",
    step_run_id="5c2b",
    job_name="zenml-5c2b",
    server_id="server",
    image="registry.azurecr.io/train:1",
    docker_settings=DockerSettings(),
    operator="azureml",
)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("display_name", "x" * 257, "`display_name` has 257 characters, and Azure ML accepts at most 256."),
        ("description", "x" * 5001, "`description` has 5001 characters, and Azure ML accepts at most 5000."),
        ("tags", {"k" * 101: "v"}, "has 101 characters, and Azure ML accepts at most 100."),
        ("tags", {"team": "v" * 1001}, "The value of the tag `team` has 1001 characters, and Azure ML accepts at"),
        ("tags", {"": "v"}, "`tags` has a tag without a key."),
        ("tags", {str(n): "" for n in range(37)}, "needs up to 14, so 36 are left."),
        ("experiment_name", "team/model", "an experiment's name has 1 to 256 letters, digits"),
        ("environment_variables", {"MY VAR": "x"}, "`environment_variables='MY VAR'`: the name of an environment"),
    ],
)
def test_a_value_beyond_a_limit_is_refused_with_the_limit(setting: str, value: Any, message: str) -> None:
    with pytest.raises(AzureMLSettingsError) as raised:
        AzureMLStepOperatorSettings(**{setting: value})

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("display_name", "x" * 256),
        ("description", "x" * 5000),
        ("tags", {**{str(n): "" for n in range(35)}, "k" * 100: "v" * 1000}),
        ("tags", {**{str(n): "" for n in range(36)}, tags.STEP: "overridden"}),
        ("experiment_name", "team-model_2"),
        ("experiment_name", "{{secret.name}}"),
        ("display_name", "{{secret." + "x" * 300 + ".key}}"),
    ],
)
def test_a_value_within_a_limit_is_accepted(setting: str, value: Any) -> None:
    assert getattr(AzureMLStepOperatorSettings(**{setting: value}), setting) == value


def test_a_job_never_has_more_tags_of_ours_than_the_limit_leaves_room_for() -> None:
    request = request_for(FACTS, ["train"], {}, JobOptions())
    held = request_for(FACTS, ["train"], {}, JobOptions(hold=timedelta(minutes=30)))

    # The others are of jobs after the first one, of the price, and of a vault.
    later = {tags.ATTEMPT, tags.PREVIOUS_JOB, tags.TARGET, tags.USD_PER_HOUR, tags.VAULT_SECRET}
    assert set(held.tags) | later | tags.OF_COST == {*tags.RESERVED, FACTS.run_tag}
    assert set(held.tags) - set(request.tags) == {tags.HOLD}
    assert len(request.tags) + len(later) == tags.MOST


@pytest.mark.parametrize(
    ("setting", "most"), [({"hold_on_failure_minutes": 30}, 15), ({"max_usd": 1}, 16), ({"max_usd_per_run": 1}, 16)]
)
def test_a_hold_and_a_cost_limit_leave_room_for_fewer_tags(setting: dict[str, float], most: int) -> None:
    own = {str(n): "" for n in range(36)}
    AzureMLStepOperatorSettings(tags=own)

    with pytest.raises(AzureMLSettingsError, match=f"needs up to {most}, so {50 - most} are left"):
        AzureMLStepOperatorSettings(tags=own, **setting)


@pytest.mark.parametrize(
    ("hold", "timeout", "seconds"), [(None, 10, 600), (20, 10, 1800), (0.001, 10, 601), (20, None, None)]
)
def test_the_limit_of_azure_covers_the_hold(hold: float | None, timeout: int | None, seconds: int | None) -> None:
    options = resolve(AzureMLStepOperatorSettings(hold_on_failure_minutes=hold, timeout_minutes=timeout)).options

    assert options.timeout == (None if seconds is None else timedelta(seconds=seconds))


def test_a_hold_into_which_nothing_leads_is_warned_of() -> None:
    held = {"hold_on_failure_minutes": 30}

    (warning,) = resolve(AzureMLStepOperatorSettings(**held)).warnings
    assert "no `services`" in warning
    assert resolve(AzureMLStepOperatorSettings(**held, services={"x": {"type": "vs_code"}})).warnings == ()


@pytest.mark.parametrize(("keys", "count"), [(None, 1), (" ", 1), ("ssh-ed25519 AAAA me", 0)])
def test_an_ssh_service_into_which_no_key_leads_is_warned_of(keys: str | None, count: int) -> None:
    service = {"type": "ssh", "ssh_public_keys": keys}

    warnings = resolve(AzureMLStepOperatorSettings(services={"mine": service})).warnings

    assert warnings == ("The service `mine` has no `ssh_public_keys`, so no key can log in.",) * count


def test_a_private_key_is_refused_and_not_repeated() -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----"

    with pytest.raises(AzureMLSettingsError) as refused:
        AzureMLStepOperatorSettings(services={"mine": {"type": "ssh", "ssh_public_keys": key}})

    assert "this is a private key" in str(refused.value)
    assert "b3Blb" not in str(refused.value) + repr(refused.value.__cause__)


@given(st.text(min_size=1, max_size=600), st.text(min_size=1, max_size=600))
def test_the_default_display_name_fits_whatever_step_and_run_are_called(step: str, run: str) -> None:
    name = request_for(replace(FACTS, step=step, run=run), ["train"], {}, JobOptions()).display_name

    assert len(name) <= 256
    assert name == f"{step} ({run})" or (len(step) + len(run) + 3 > 256 and "..." in name)
    assert name.startswith(step[:100])
    assert name.endswith(")")


def test_a_readable_tag_is_cut_and_a_tag_that_finds_the_job_is_not() -> None:
    facts = replace(FACTS, pipeline="p" * 1200, run="r" * 1200, step="s" * 1200, run_url="https://" + "u" * 1200)

    made = request_for(facts, ["train"], {}, JobOptions()).tags

    assert {key: len(made[key]) for key in (tags.PIPELINE, tags.RUN, tags.STEP)} == dict.fromkeys(
        (tags.PIPELINE, tags.RUN, tags.STEP), 1000
    )
    assert tags.RUN_URL not in made  # half of an address leads nowhere
    assert (made[tags.RUN_ID], made[tags.STEP_RUN_ID], made[FACTS.run_tag]) == ("7e1a", "5c2b", "")


@given(st.text(max_size=40), st.integers(min_value=3, max_value=50))
def test_a_shortened_text_is_the_text_or_its_beginning(text: str, length: int) -> None:
    result = shortened(text, length)

    assert len(result) <= length
    assert result == text or (result.endswith("...") and text.startswith(result[:-3]) and len(text) > length)


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ({"timeout_minutes": 21 * 24 * 60 + 1}, 21),
        ({"timeout_minutes": 7 * 24 * 60 + 1, "job_tier": "spot"}, 7),
        (
            {"timeout_minutes": 99999, "mode": "compute-cluster", "compute_name": "cpu", "tier": "low_priority"},
            7,
        ),
        ({"timeout_minutes": 21 * 24 * 60}, None),
        ({"timeout_minutes": 7 * 24 * 60, "job_tier": "spot"}, None),
    ],
)
def test_a_timeout_beyond_the_life_of_a_job_is_warned_of(settings: dict[str, Any], days: int | None) -> None:
    warnings = resolve(AzureMLStepOperatorSettings(**settings)).warnings

    assert [f"Azure ML ends it after {days} days" in warning for warning in warnings] == [True] * (days is not None)


def _schedule(**values: str) -> AzureMLStepOperatorSettings:
    schedule = {"action": "stop", "cron": "0 18 * * 1-5", **values}
    return AzureMLStepOperatorSettings(mode="compute-instance", compute_name="notebook", schedules=[schedule])


def test_each_time_zone_of_the_sdk_is_accepted() -> None:
    zones = [zone.value for zone in TimeZone]

    assert [_schedule(time_zone=zone).schedules[0].time_zone for zone in zones] == zones  # type: ignore[index]


@pytest.mark.parametrize("zone", ["UTC", "W. Europe Standard Time", "w. europe standard time"])
def test_a_time_zone_of_the_sdk_is_accepted_in_any_case(zone: str) -> None:
    (schedule,) = _schedule(time_zone=zone).schedules or []

    assert schedule.time_zone in {zone.value for zone in TimeZone}


@pytest.mark.parametrize(
    ("zone", "nearest"), [("Europe/Berlin", ""), ("W. Europe Standart Time", "`W. Europe Standard Time`"), ("CET", "")]
)
def test_another_time_zone_is_refused_with_the_nearest(zone: str, nearest: str) -> None:
    with pytest.raises(AzureMLSettingsError, match="Azure ML knows time zones by their Windows names") as raised:
        _schedule(time_zone=zone)

    assert nearest in str(raised.value)


@pytest.mark.parametrize(
    "cron", ["0 18 * * 1-5", "*/15 8-18 * * MON-FRI", "0 0 1,15 * *", "0 0 29 2 *", "30 7 * JAN 0", "0  7\t* * *"]
)
def test_a_crontab_that_can_be_is_accepted(cron: str) -> None:
    assert _schedule(cron=cron).schedules


@pytest.mark.parametrize(
    "cron",
    [
        *("60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * * 8", "0 0 31 2 *", "0 0 30 2 *"),
        *("0 0 31 4,6 *", "5-1 * * * *", "* * * *", "* * * * * *", "@daily", "0 0 L * *", "0 0 * * 1#2", "a b c d e"),
        *("*/0 * * * *", ""),
    ],
)
def test_a_crontab_that_cannot_be_is_refused(cron: str) -> None:
    with pytest.raises(AzureMLSettingsError, match="a crontab expression has five fields"):
        _schedule(cron=cron)
