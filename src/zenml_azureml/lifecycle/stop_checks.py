"""Checks whether runs are being stopped: one request now and then, for all callers that wait for steps of a run."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from zenml_azureml.clock import Time
from zenml_azureml.lifecycle.latest_answers import LatestAnswers
from zenml_azureml.run_store import step_runs

#: Time between two checks whether a run was stopped on the server.
STOP_CHECK_INTERVAL = timedelta(seconds=2)


class StopChecks:
    """Checks whether runs are being stopped.

    Thread-safe, as `LatestAnswers` is.

    Args:
        time: The clock.
    """

    def __init__(self, time: Time) -> None:
        # A little less than the interval, so that a caller that checks once in each interval gets a new answer.
        self._answers = LatestAnswers(_is_stopping, False, STOP_CHECK_INTERVAL * 0.9, time)

    def is_stopping(self, run_id: UUID) -> bool:
        """True if a run was stopped, as far as is known."""
        return self._answers.answer(run_id)


def _is_stopping(run_id: UUID) -> bool:
    return step_runs.is_stopping(run_id)
