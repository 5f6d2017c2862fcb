"""What counts against a cost limit, and what a job may still use of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml import tags
from zenml_azureml.azure.failures.rules import timeout
from zenml_azureml.azure.jobs.snapshot import JobSnapshot
from zenml_azureml.lifecycle.cost_guard import bounded_as_first
from zenml_azureml.lifecycle.cost_limit import (
    SHORTEST,
    TOLERANCE,
    Allowance,
    Limit,
    Spending,
    affordable_time,
    allowance_of,
    exceeded_by,
    most_of,
    spending_of,
    with_pending,
)
from zenml_azureml.settings.models import AzureMLStepOperatorSettings
from zenml_azureml.specs.job import JobOptions, JobSpec
from zenml_azureml.specs.limits import JOB_LIFETIME

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
STEP, RUN = Limit("max_usd", 5), Limit("max_usd_per_run", 5)


def job(
    name: str = "job",
    status: str = "Running",
    *,
    price: float | None = 2.0,
    reserved: float | str | None = None,
    started: float | None = None,
    ended: float | None = None,
    timeout: timedelta | None = None,
    created: float = 5,
) -> JobSnapshot:
    """A job that was created, has started and ended so many hours ago."""
    amounts = {tags.USD_PER_HOUR: price, tags.RESERVED_USD: reserved}
    return JobSnapshot(
        name,
        status,
        {key: str(usd) for key, usd in amounts.items() if usd is not None},
        created_at=NOW - created * HOUR,
        started=None if started is None else NOW - started * HOUR,
        ended=None if ended is None else NOW - ended * HOUR,
        timeout=timeout,
    )


@pytest.mark.parametrize(
    ("listed", "usd"),
    [
        # An ended job counts what it has cost, not what it has reserved.
        (job(status="Completed", reserved=4, started=2, ended=1.5), 1.0),
        (job(status="Canceled", reserved=4), 0.0),
        # Azure has not stored its end yet: no more than until now, and no more than it has reserved.
        (job(status="Failed", reserved=4, started=0.5), 1.0),
        (job(status="Failed", reserved=4, started=9), 4.0),
        (job(status="Failed", started=0.5), 1.0),
        (job(status="Completed", reserved=4), 4.0),
        # An unfinished job counts what it can cost at most.
        (job(reserved=4, started=0.5), 4.0),
        (job(status="Queued", reserved=4), 4.0),
        (job(started=0.5, timeout=3 * HOUR), 6.0),
        (job(started=0.5), 2.0 * JOB_LIFETIME / HOUR),
        (job(price=None, started=0.5), None),
        (job(status="Completed", price=None, started=2, ended=1), None),
        (job(status="Completed"), None),
        # A user has edited its tags.
        (job(reserved="nan", started=0.5, timeout=HOUR), 2.0),
        (job(reserved="-3", started=0.5, timeout=HOUR), 2.0),
        (job(reserved="inf", started=0.5, timeout=HOUR), 2.0),
        (job(reserved="much", started=0.5, timeout=HOUR), 2.0),
    ],
)
def test_a_job_counts_what_it_has_cost_or_can_cost_at_most(listed: JobSnapshot, usd: float | None) -> None:
    assert most_of(listed, NOW) == (usd if usd is None else pytest.approx(usd))


def test_the_sums_say_what_is_spent_and_what_is_reserved() -> None:
    jobs = [
        job("first", "Failed", started=2, ended=1.5),
        job("second", reserved=1.25),
        job("third", price=None, started=1),
        job("fourth", "Failed", reserved=4),  # this process knows its end better
    ]

    spending = spending_of(STEP, jobs, {"fourth": 0.5}, NOW)

    assert (spending.spent, spending.reserved, spending.unknown) == (1.5, 1.25, 1)
    assert spending.left == 2.25
    assert spending.jobs == {"first", "second", "third", "fourth"}
    assert spending.describe() == (
        "Of 5.00 USD, ended jobs have cost 1.50 and unfinished jobs have reserved 1.25, without 1 job of unknown "
        "cost, so 2.25 USD is left."
    )


def test_what_other_steps_have_reserved_counts_once() -> None:
    spending = spending_of(RUN, [job("listed", reserved=1)], {}, NOW)

    found = with_pending(spending, {"listed": 1, "not listed yet": 2})

    assert found.reserved == 3
    assert found.jobs == {"listed", "not listed yet"}


@pytest.mark.parametrize(
    ("own", "left", "allowed"),
    [
        (None, 5, Allowance(2.5 * HOUR, 5, STEP)),
        (2 * HOUR, 5, Allowance(2 * HOUR, 4)),
        (2.5 * HOUR, 5, Allowance(2.5 * HOUR, 5)),
        (3 * HOUR, 5, Allowance(2.5 * HOUR, 5, STEP)),
        (3 * HOUR, 2 / 12, Allowance(SHORTEST, 2 / 12, STEP)),
        (3 * HOUR, 2 / 12 - 0.001, None),
        (None, 0, None),
        (HOUR / 60, 0, None),
        # A job whose own time limit fits is not refused, however short it is.
        (HOUR / 60, 2 / 60, Allowance(HOUR / 60, 2 / 60)),
        (HOUR / 60, 2 / 61, None),
        (None, 1e9, Allowance(None, 2 * JOB_LIFETIME / HOUR)),
    ],
)
def test_a_job_gets_the_smaller_of_its_own_time_limit_and_of_what_is_left(
    own: timedelta | None, left: float, allowed: Allowance | None
) -> None:
    limit = Limit("max_usd", 5)
    spending = Spending(limit, spent=5 - left) if left <= 5 else Spending(Limit("max_usd", left))

    found = allowance_of(own, 2.0, [spending])

    if allowed is None or found is None:
        assert found is allowed
        return
    assert (found.timeout, found.limit) == (allowed.timeout, allowed.limit)
    assert found.usd == pytest.approx(allowed.usd)


def test_the_limit_of_which_less_is_left_counts() -> None:
    found = allowance_of(None, 1.0, [Spending(STEP, spent=1), Spending(RUN, reserved=3)])

    assert found == Allowance(2 * HOUR, 2, RUN)


def test_a_free_compute_has_no_shorter_time_limit() -> None:
    assert allowance_of(2 * HOUR, 0.0, [Spending(STEP)]) == Allowance(2 * HOUR, 0)
    assert affordable_time(Spending(STEP), 0.0) == JOB_LIFETIME


def test_a_limit_of_which_nothing_is_left_allows_no_job_on_a_free_compute_either() -> None:
    assert allowance_of(2 * HOUR, 0.0, [Spending(STEP, spent=STEP.usd)]) is None
    assert affordable_time(Spending(STEP, spent=STEP.usd), 0.0) == timedelta()


AMOUNTS = st.floats(0, 1000, allow_nan=False)
PRICES = st.floats(0.0001, 100, allow_nan=False)
TIMES = st.none() | st.integers(1, 100_000).map(lambda minutes: timedelta(minutes=minutes))


@given(TIMES, PRICES, st.lists(st.builds(Spending, st.just(STEP) | st.just(RUN), AMOUNTS, AMOUNTS), min_size=1))
def test_a_time_limit_is_never_longer_than_asked_nor_than_what_is_left_pays_for(
    own: timedelta | None, price: float, spendings: list[Spending]
) -> None:
    allowed = allowance_of(own, price, spendings)

    if allowed is None:
        assert min(affordable_time(each, price) for each in spendings) < min(SHORTEST, own or SHORTEST)
        return
    longest = allowed.timeout or JOB_LIFETIME
    assert longest <= (own or JOB_LIFETIME) or allowed.timeout == own
    assert allowed.usd == pytest.approx(price * longest / HOUR)
    assert all(allowed.usd <= each.left + 2e-9 for each in spendings)
    assert (allowed.limit is not None) == (allowed.timeout != own)


@dataclass
class Run:
    """A run whose steps submit jobs in any order, some of them at the same time, within one limit."""

    limit: Limit
    jobs: dict[str, JobSnapshot] = field(default_factory=dict)
    decided: dict[str, tuple[Spending, Allowance]] = field(default_factory=dict)

    def decide(self, name: str, price: float, own: timedelta | None) -> None:
        """List the jobs, and decide on the next one."""
        spending = spending_of(self.limit, self.jobs.values(), {}, NOW)
        allowed = allowance_of(own, price, [spending])
        if allowed is not None:
            self.decided[name] = spending, allowed

    def submit(self, name: str, price: float) -> None:
        """Submit a job that was decided on."""
        _, allowed = self.decided[name]
        created = 100 - len(self.jobs)
        self.jobs[name] = job(name, price=price, reserved=f"{allowed.usd:.6f}", created=created)

    def check(self, name: str) -> None:
        """List the jobs again, and cancel the own one if it exceeds the limit."""
        spending, allowed = self.decided[name]
        if exceeded_by(spending, name, allowed.usd, self.jobs.values(), NOW):
            self.jobs[name] = job(name, "Canceled", created=100)


@given(
    st.floats(1, 100),
    st.lists(st.tuples(PRICES, TIMES, st.floats(0, 1)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_reservations_of_a_run_never_exceed_its_limit(
    usd: float, steps: list[tuple[float, timedelta | None, float]], random: st.DataObject
) -> None:
    """Every order of the three parts of each submission, as of so many processes that know nothing of each other."""
    run = Run(Limit("max_usd_per_run", usd))
    waiting = {str(number): ["decide", "submit", "check"] for number in range(len(steps))}
    while waiting:
        name = random.choice(sorted(waiting))  # type: ignore[attr-defined]
        price, own, used = steps[int(name)]
        part = waiting[name].pop(0)
        if part == "decide":
            run.decide(name, price, own)
        elif name not in run.decided:
            waiting[name].clear()
        elif part == "submit":
            run.submit(name, price)
        else:
            run.check(name)
            if run.jobs[name].phase.ended is False and used < 0.3:  # it ends early
                hours = run.decided[name][1].usd / price
                run.jobs[name] = job(name, "Completed", price=price, started=hours * used, ended=0, created=100)
        if not waiting[name]:
            del waiting[name]

    assert sum(most_of(each, NOW) or 0 for each in run.jobs.values()) <= usd + TOLERANCE * len(steps)


def test_of_two_jobs_that_did_not_see_each_other_the_later_one_gives_way() -> None:
    first, second = job("b", reserved=4, created=2), job("a", reserved=4, created=1)
    none_seen = Spending(RUN)

    assert exceeded_by(none_seen, "b", 4, [first, second], NOW) == 0
    assert exceeded_by(none_seen, "a", 4, [first, second], NOW) == 3
    # A listing that lags behind shows its own job to neither: both give way rather than none.
    assert exceeded_by(none_seen, "a", 4, [first], NOW) == 3
    assert exceeded_by(none_seen, "b", 4, [second], NOW) == 3


def test_a_job_gives_way_to_none_that_it_knew_of() -> None:
    seen = spending_of(RUN, [job("first", reserved=3)], {}, NOW)
    ended_late = job("first", "Canceled", reserved=3, started=1.6, ended=0)  # some seconds more than it has reserved

    assert exceeded_by(seen, "mine", 2, [ended_late, job("mine", reserved=2, created=1)], NOW) == 0


def test_a_job_that_its_cost_limit_has_ended_has_a_cause_of_its_own() -> None:
    ended, timed_out = timeout(171 * HOUR / 60, "max_usd=5"), timeout(171 * HOUR / 60)

    assert (ended.name, timed_out.name) == ("cost-limit", "timeout")
    assert ended.what == "it reached its cost limit (`max_usd=5`) after 171.0 minutes, and Azure cancelled it"
    assert "`timeout_minutes`" not in ended.what + ended.hint
    assert ended.hint.startswith("Raise `max_usd`, ")


@pytest.mark.parametrize(
    ("settings", "own", "per_hour", "shown", "timeout_minutes", "tagged"),
    [
        ({}, 60, 2.0, r"^$", 60, {}),
        ({"max_usd": 1}, 60, None, r"^The price is unknown, so `max_usd=1` cannot limit the job\.$", 60, {}),
        (
            {"max_usd": 0.1},
            60,
            2.0,
            r"^The operator would refuse the job: at 2.00 USD per hour, `max_usd=0.1` ",
            60,
            {},
        ),
        (
            {"max_usd": 1, "max_usd_per_run": 4},
            60,
            2.0,
            r"may run for 30\.0 minutes, because of `max_usd=1`, and reserves 1\.00 USD, at 2\.00 USD per hour\.$",
            30,
            {tags.RESERVED_USD: "1.000000", tags.COST_LIMIT: "max_usd=1"},
        ),
        (
            {"max_usd": 5},
            60,
            2.0,
            r"may run for 60\.0 minutes, and reserves 2\.00 USD",
            60,
            {tags.RESERVED_USD: "2.000000"},
        ),
    ],
)
def test_the_first_job_of_a_run_is_shown_within_its_limits(
    settings: dict[str, float],
    own: float,
    per_hour: float | None,
    shown: str,
    timeout_minutes: float,
    tagged: dict[str, str],
) -> None:
    options = JobOptions(timeout=timedelta(minutes=own))
    request = JobSpec("job", "job", "tests", "image", "true", {}, {}, own_tag="", options=options)
    bounded, sentence = bounded_as_first(AzureMLStepOperatorSettings(**settings), request, per_hour)

    assert re.search(shown, sentence)
    assert bounded.options.timeout == timedelta(minutes=timeout_minutes)
    assert bounded.tags == tagged
