"""Whether somebody has stopped a run: one question to ZenML's server now and then, for all who wait for its steps."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from uuid import UUID

from zenml.exceptions import RunInterruptedException, RunStoppedException
from zenml.logger import get_logger

from zenml_azureml import step_runs
from zenml_azureml.timing import Time

logger = get_logger(__name__)

#: Time between two looks at whether somebody has stopped the run on the server.
STOP_CHECK_INTERVAL = timedelta(seconds=2)


class StopChecks:
    """Looks at whether runs are being stopped.

    Thread-safe: a lock guards when each run was asked about; the answers are only replaced.

    Args:
        time: Where the time comes from.
    """

    def __init__(self, time: Time) -> None:
        self._time = time
        self._lock = threading.Lock()
        self._asked_at: dict[UUID, float] = {}
        self._stopping: dict[UUID, bool] = {}

    def is_stopping(self, run_id: UUID) -> bool:
        """Whether somebody has stopped a run, as far as is known; one of those who ask finds out, the others do not."""
        # A little less, so that somebody who asks once in an interval is not told what was found out in the last one.
        interval = STOP_CHECK_INTERVAL.total_seconds() * 0.9
        with self._lock:
            now = self._time.monotonic()
            is_due = now - self._asked_at.get(run_id, -math.inf) >= interval
            if is_due:
                self._asked_at[run_id] = now
        if is_due:
            self._stopping[run_id] = self._find_out(run_id)
        return self._stopping.get(run_id, False)

    def _find_out(self, run_id: UUID) -> bool:
        try:
            return step_runs.is_stopping(run_id)
        except (RunInterruptedException, RunStoppedException):
            raise  # a signal, which came just now
        except Exception as error:  # noqa: BLE001 - the job goes on while ZenML's server is away
            logger.debug("Could not ask the server whether the run was stopped: %s", error)
            return False
