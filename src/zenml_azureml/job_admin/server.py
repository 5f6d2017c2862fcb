"""View of ZenML's server for decisions about jobs: it may be unavailable, or not the server of a job."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from functools import cached_property
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionMode, ExecutionStatus
from zenml.logger import get_logger
from zenml.utils.pagination_utils import depaginate

from zenml_azureml.azure.single_flight import Once
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.job_admin.orphans import NoStepRun, StepRunFacts
from zenml_azureml.job_admin.over import RunFacts, why_run_is_over, why_step_run_is_over
from zenml_azureml.lifecycle.holding import hold_of
from zenml_azureml.run_store import step_runs
from zenml_azureml.run_store.server import server_id

logger = get_logger(__name__)

_IDLE = frozenset({ExecutionStatus.RETRYING})


class ServerView:
    """State of step runs on the ZenML server of this process.

    Thread-safe: it keeps the server's id, if it has warned, and the facts about runs, each requested once.
    """

    def __init__(self) -> None:
        self._has_warned = False
        self._runs: dict[UUID, Once[RunFacts | None]] = {}

    @cached_property
    def id(self) -> str | None:
        """Id of the server; None if it cannot be reached."""
        try:
            return str(server_id())
        except Exception as error:  # noqa: BLE001 - each kind of store and network fails differently
            self._warn(error)
            return None

    def step_run(self, step_run_id: str, run_id: str = "", *, may_be_held: bool = False) -> StepRunFacts | NoStepRun:
        """Return the state of a step run on the server.

        Requests it by its id, because a listing covers one project only.

        Args:
            step_run_id: Its id, as in the tag of a job.
            run_id: The id of its run, from the tag too, to check if the run has ended; empty to skip that.
            may_be_held: True if its job is held open in case that the step fails.
        """
        try:
            found = Client().get_run_step(UUID(step_run_id), hydrate=may_be_held)
            over = "" if found.status.is_finished else why_step_run_is_over(found.status)
            if not over and not found.status.is_finished and run_id:
                run = self._facts_of_run(UUID(run_id))
                over = why_run_is_over(run, found.start_time) if run is not None else ""
        except KeyError:
            return self._confirm_gone()
        except Exception as error:  # noqa: BLE001 - as above; and a tag may have been edited
            self._warn(error)
            return NoStepRun.NOT_TOLD
        ended_at = found.end_time
        return StepRunFacts(
            status=found.status.value,
            finished=found.status.is_finished,
            successful=found.status.is_successful,
            ended_at=ended_at if ended_at is None else ended_at.replace(tzinfo=timezone.utc),
            over=over,
            held_until=hold_of(found, datetime.now(timezone.utc)) if may_be_held else None,
        )

    def is_run_over(self, run_id: str) -> bool:
        """True if a run has ended or is deleted; False if the server does not say so."""
        try:
            return Client().get_pipeline_run(UUID(run_id), hydrate=False).status.is_finished
        except KeyError:
            return self._confirm_gone() is NoStepRun.GONE
        except Exception as error:  # noqa: BLE001 - as above; and a tag may have been edited
            self._warn(error)
            return False

    def _facts_of_run(self, run_id: UUID) -> RunFacts | None:
        def ask() -> RunFacts | None:
            try:
                return _facts_of_run(run_id)
            except KeyError:  # a step run without its run: no reason to cancel a job
                return None

        return self._runs.setdefault(run_id, Once()).get(ask)

    def unfinished_step_runs(self) -> frozenset[str]:
        """Return the ids of all unfinished step runs, as far as the server knows; none if it is unavailable.

        Excludes those that wait for their orchestrator to retry them.
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
            self._warn(error)
            return frozenset()

    def _confirm_gone(self) -> NoStepRun:
        """Request a resource that every server has, to confirm that a step run is deleted.

        ZenML's client treats every 404 as a missing resource, even that of a proxy in front of an unavailable server.
        """
        try:
            answering = str(Client().zen_store.get_server_settings().server_id)
        except Exception as error:  # noqa: BLE001 - as above
            self._warn(error)
            return NoStepRun.NOT_TOLD
        return NoStepRun.GONE if answering == self.id else NoStepRun.NOT_TOLD

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning("Failed to read runs from the ZenML server: %s", error)


def no_such_run(run: str) -> AzureMLError:
    """Return the error that the server has no run with that name or id."""
    return AzureMLError(
        f"The ZenML server has no run `{run}`.",
        hint="To list the runs: `zenml pipeline runs list`. Use the whole name or ID of the run.",
    )


def _facts_of_run(run_id: UUID) -> RunFacts:
    """Return the facts about a run: one request, and two more for a static run that has failed."""
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
