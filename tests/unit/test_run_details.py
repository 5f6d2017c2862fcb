"""What run history tells of a job's time, as it comes over the wire."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from zenml_azureml.azure.jobs.run_history import RunDetails, details_of

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("limit", "ran", "used_up"),
    [
        (timedelta(hours=1), timedelta(hours=1, seconds=20), True),
        (timedelta(hours=1), timedelta(minutes=59, seconds=57), True),
        (timedelta(hours=1), timedelta(minutes=50), False),
        (None, timedelta(days=9), False),
    ],
)
def test_a_job_has_used_up_its_time_when_it_ran_for_that_long(
    limit: timedelta | None, ran: timedelta, used_up: bool
) -> None:
    details = RunDetails("Canceled", {}, started=START, ended=START + ran, time_limit=limit)

    assert details.time_used_up == (limit if used_up else None)


def test_a_job_that_never_began_has_used_up_nothing() -> None:
    assert RunDetails("Canceled", {}, ended=START, time_limit=timedelta(minutes=1)).time_used_up is None


def test_times_are_read_with_seven_digits_and_without_an_error_where_they_are_none() -> None:
    # The times are those of history_rundata_failed_command.json and of quoted_rundetails_v1_logfiles.json.
    details = details_of(
        {
            "startTimeUtc": "2022-12-26T04:33:47.2933276+00:00",
            "endTimeUtc": "2022-12-26T04:34:47.29Z",
            "runDefinition": {"maxRunDurationSeconds": 60},
        }
    )
    assert details.time_used_up == timedelta(seconds=60)

    nothing = details_of({"startTimeUtc": None, "endTimeUtc": "yesterday", "runDefinition": None})
    assert (nothing.started, nothing.ended, nothing.time_limit) == (None, None, None)
