"""Steps whose job is held open after their failure: it counts as ended although it has not.

A job is held if its step run has reported the failure of its code, the job has saved the end of its hold, and that end
has not come. No other job is exempt from the rule that a step has one unfinished job.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING
from uuid import UUID

from zenml_azureml.contract.hold import held_until
from zenml_azureml.lifecycle.cost import in_usd
from zenml_azureml.lifecycle.latest_answers import LatestAnswers
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server_retries import ask_or

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zenml.models import StepRunResponse

    from zenml_azureml.clock import Time
    from zenml_azureml.lifecycle.execution import StepExecution
    from zenml_azureml.specs.job import JobService

#: Interval between two checks of a step whose settings ask for a hold; each is a request to ZenML's server.
HOLD_CHECK_INTERVAL = timedelta(seconds=4)

#: Words for the kinds of services through which a user gets into a job.
# Guess: they open a job on serverless compute as they do on clusters, also while its process only waits.
# `make live`: test_a_job_with_services_that_keeps_its_container_until_it_is_cancelled.
# Guess: Azure lets a job that only waits keep its node until its time limit; four minutes, or `HOLD=`.
# `make live`: test_a_job_that_only_waits_keeps_its_node_until_its_time_limit_ends_it.
_SERVICES = {"vs_code": "VS Code", "jupyter_lab": "JupyterLab"}


def hold_of(step_run: StepRunResponse, now: datetime) -> datetime | None:
    """Return the end of the hold of a step run's job; None if the job is not held (any more).

    Args:
        step_run: The step run, with its metadata.
        now: The time.
    """
    if not step_runs.is_reported_by_code(step_run):
        return None
    until = held_until(step_run.run_metadata)
    return until if until is not None and now < until else None


class Holds:
    """Checks whether the jobs of steps are held, for steps whose settings ask for that.

    Thread-safe, as `LatestAnswers` is.

    Args:
        time: The clock.
    """

    def __init__(self, time: Time) -> None:
        self._answers: LatestAnswers[datetime | None] = LatestAnswers(_ask, None, HOLD_CHECK_INTERVAL, time)

    def until(self, step: StepExecution) -> datetime | None:
        """Return the end of the hold of a step's job; None if it is not held, as far as is known.

        Makes no request for a step without a hold in its settings.
        """
        return self._answers.answer(step.id) if step.plan.settings.hold_on_failure_minutes else None


def is_held(step: StepExecution) -> bool:
    """True if the job of a step is held. Asks ZenML's server, if the step's settings ask for a hold; never raises."""
    if not step.plan.settings.hold_on_failure_minutes:
        return False
    # One cancelled job too many is better than one that keeps running.
    return ask_or(None, "looking up the hold of a step", lambda: _ask(step.id)) is not None


def _ask(step_run_id: UUID) -> datetime | None:
    return hold_of(step_runs.with_metadata(step_run_id), datetime.now(timezone.utc))


def account_of_hold(job: str, until: datetime, usd_per_hour: float | None, services: Iterable[JobService]) -> str:
    """Return the lines of an error about a job that is held: its end, its price, and how to use and end it.

    Args:
        job: Name of the job.
        until: The end of the hold.
        usd_per_hour: Price of the job per hour; None if unknown.
        services: The interactive services of the job.
    """
    price = "at an unknown price" if usd_per_hour is None else f"at about {in_usd(usd_per_hour)} USD per hour"
    types = dict.fromkeys(service.type for service in services)
    in_studio = [_SERVICES[kind] for kind in types if kind in _SERVICES]
    ways = [f"zenml-azureml jobs shell {job}"] if "ssh" in types else []
    ways += [f"{', '.join(in_studio)} of the job in Studio"] if in_studio else []
    lines = [
        f"The job `{job}` is held open until {until.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC, {price}.",
        *(f"  To look into it: {way}" for way in ways),
        *([] if ways else ["  It has no interactive service: the setting `services` adds them."]),
        f"  To end it now: zenml-azureml jobs release {job}",
    ]
    return "\n".join(lines)


#: Line of an error about a failed job that was to be held, and is not.
NOT_HELD = (
    "The job is not held open, although `hold_on_failure_minutes` is set. A job can be held only if the step's function"
    " raises an exception, and if the image has a version of zenml-azureml that supports it."
)
