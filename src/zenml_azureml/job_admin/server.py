"""ZenML's server as those see it who decide about jobs: it may be another one, and it may be away."""

from __future__ import annotations

import json
import threading
from datetime import timezone
from functools import cached_property
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionMode, ExecutionStatus
from zenml.logger import get_logger
from zenml.utils.pagination_utils import depaginate

from zenml_azureml.job_admin.orphans import NoStepRun, StepRunFacts
from zenml_azureml.job_admin.over import RunFacts, why_run_is_over, why_step_run_is_over
from zenml_azureml.run_store import step_runs

logger = get_logger(__name__)

_IDLE = frozenset({ExecutionStatus.RETRYING})


class ServerView:
    """What this process' ZenML server knows of step runs.

    Thread-safe: it keeps nothing but the server's id, whether it has warned, and under a lock what it knows of runs.
    """

    def __init__(self) -> None:
        self._told = False
        self._lock = threading.Lock()
        self._runs: dict[UUID, RunFacts | None] = {}

    @cached_property
    def id(self) -> str | None:
        """The server's id; None if it cannot be reached."""
        try:
            return str(step_runs.server_id())
        except Exception as error:  # noqa: BLE001 - it fails in as many ways as there are stores and networks
            self._tell(error)
            return None

    def step_run(self, step_run_id: str, run_id: str = "") -> StepRunFacts | NoStepRun:
        """What the server knows of a step run.

        By its id and not in a listing: those show one project only.

        Args:
            step_run_id: Its id, as a job's tag has it.
            run_id: The id of its run, likewise, to learn whether that is over; empty if this is of no interest.
        """
        try:
            found = Client().get_run_step(UUID(step_run_id), hydrate=False)
            over = "" if found.status.is_finished else why_step_run_is_over(found.status)
            if not over and not found.status.is_finished and run_id:
                run = self._facts_of_run(UUID(run_id))
                over = why_run_is_over(run, found.start_time) if run is not None else ""
        except KeyError:
            return self._confirm_gone()
        except Exception as error:  # noqa: BLE001 - as above; and a tag may have been edited
            self._tell(error)
            return NoStepRun.NOT_TOLD
        ended_at = found.end_time
        return StepRunFacts(
            status=found.status.value,
            finished=found.status.is_finished,
            successful=found.status.is_successful,
            ended_at=ended_at if ended_at is None else ended_at.replace(tzinfo=timezone.utc),
            over=over,
        )

    def _facts_of_run(self, run_id: UUID) -> RunFacts | None:
        with self._lock:  # held while asking, so that a hundred jobs of one run ask once
            if run_id not in self._runs:
                try:
                    self._runs[run_id] = _facts_of_run(run_id)
                except KeyError:  # a step run without its run: whatever this is, it is no reason to end a job
                    self._runs[run_id] = None
            return self._runs[run_id]

    def unfinished_step_runs(self) -> frozenset[str]:
        """Return the ids of all step runs that have not ended, as far as the server knows; none if it is unavailable.

        Without those that wait for their orchestrator to retry them.
        """
        statuses = [status.value for status in ExecutionStatus if not status.is_finished and status not in _IDLE]
        status = f"oneof:{json.dumps(statuses)}"
        try:
            client = Client()
            projects = [project.id for project in depaginate(client.list_projects)]
            return frozenset(
                str(step_run.id)
                for project in projects  # a listing is of one project
                for step_run in depaginate(client.list_run_steps, project=project, status=status)
            )
        except Exception as error:  # noqa: BLE001 - as above
            self._tell(error)
            return frozenset()

    def _confirm_gone(self) -> NoStepRun:
        """Ask for something that the server has in any case.

        ZenML's client takes every 404 for a missing thing: that of a proxy in front of a server that is away, too.
        """
        try:
            answering = str(Client().zen_store.get_server_settings().server_id)
        except Exception as error:  # noqa: BLE001 - as above
            self._tell(error)
            return NoStepRun.NOT_TOLD
        return NoStepRun.GONE if answering == self.id else NoStepRun.NOT_TOLD

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            logger.warning("The ZenML server cannot be asked about its runs: %s", error)


def _facts_of_run(run_id: UUID) -> RunFacts:
    """What the server knows of a run: one request, and two more for a static run that has failed."""
    run = Client().get_pipeline_run(run_id, hydrate=False)
    stopped = step_runs.why_stopped(run)
    dynamic = bool(run.snapshot and run.snapshot.is_dynamic)
    mode, has_failed_step, ended_at = ExecutionMode.CONTINUE_ON_FAILURE, True, None
    if run.status is ExecutionStatus.FAILED and not stopped and not dynamic:
        hydrated = Client().get_pipeline_run(run_id)
        mode, ended_at = hydrated.config.execution_mode, hydrated.end_time
        failed = Client().list_run_steps(
            pipeline_run_id=run_id, status=ExecutionStatus.FAILED.value, project=run.project_id, size=1
        )
        has_failed_step = failed.total > 0
    return RunFacts(run.status, stopped, dynamic, mode, has_failed_step, ended_at)
