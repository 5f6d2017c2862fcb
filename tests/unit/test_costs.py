"""What jobs have cost, by what Azure ML tells of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.lifecycle.cost import in_usd, total_of, usd_of

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def job(
    status: str, *, price: str | None = "2.0", started: float | None = None, ended: float | None = None
) -> JobSnapshot:
    """A job that has started and ended so many hours ago."""

    def moment(hours: float | None) -> datetime | None:
        return None if hours is None else NOW - timedelta(hours=hours)

    tags = {} if price is None else {"zenml_usd_per_hour_all_nodes": price}
    return JobSnapshot("job", status, tags, started=moment(started), ended=moment(ended))


@pytest.mark.parametrize(
    ("listed", "usd"),
    [
        (job("Completed", started=3, ended=1.5), 3.0),
        (job("Running", started=0.5), 1.0),  # so far
        (job("Queued"), 0.0),
        (job("Canceled", ended=1), 0.0),
        (job("Canceled", price=None, ended=1), 0.0),  # it has never run
        (job("Completed"), None),  # Azure does not tell for how long
        (job("Finalizing"), None),
        (job("Failed", started=1), None),
        (job("Completed", price=None, started=3, ended=1), None),
        (job("Completed", price="much", started=3, ended=1), None),
    ],
)
def test_a_job_costs_its_time_at_its_price(listed: JobSnapshot, usd: float | None) -> None:
    assert usd_of(listed, NOW) == (usd if usd is None else pytest.approx(usd))


@pytest.mark.parametrize(("usd", "digits"), [(0.0, "0.00"), (0.00123, "0.0012"), (0.5, "0.50"), (1234.567, "1234.57")])
def test_cents_are_told_in_more_digits_than_dollars(usd: float, digits: str) -> None:
    assert in_usd(usd) == digits


def test_the_sum_says_what_is_not_in_it() -> None:
    known, unknown = job("Completed", started=2, ended=1), job("Running", price=None, started=1)

    assert total_of([known, known], NOW).describe() == "Estimated cost of the run so far: 4.00 USD (2 jobs)."
    assert total_of([known, unknown], NOW).describe().endswith("2.00 USD (2 jobs, without 1 whose price is unknown).")
    said = total_of([unknown], NOW).describe()
    assert said == "Estimated cost of the run so far: unknown (1 job, none with a known price)."
