"""ZenML's server as those see it who decide about jobs: it may be another one, and it may be away."""

from __future__ import annotations

from datetime import timezone
from functools import cached_property
from uuid import UUID

from zenml.client import Client
from zenml.logger import get_logger

from zenml_azureml import step_runs
from zenml_azureml.jobs.orphans import NoStepRun, StepRunFacts

logger = get_logger(__name__)


class ServerView:
    """What this process' ZenML server knows of step runs.

    Thread-safe: it keeps nothing but the server's id, and whether a failure was told.
    """

    def __init__(self) -> None:
        self._told = False

    @cached_property
    def id(self) -> str | None:
        """The server's id; None if it cannot be reached."""
        try:
            return str(step_runs.server_id())
        except Exception as error:  # noqa: BLE001 - it fails in as many ways as there are stores and networks
            self._tell(error)
            return None

    def step_run(self, step_run_id: str) -> StepRunFacts | NoStepRun:
        """What the server knows of a step run.

        By its id and not in a listing: those show one project only.

        Args:
            step_run_id: Its id, as a job's tag has it.
        """
        try:
            found = Client().get_run_step(UUID(step_run_id), hydrate=False)
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
        )

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
