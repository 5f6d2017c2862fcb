"""What the lifecycle of a step needs of Azure: the operations on the newest job of a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zenml.logger import get_logger

from zenml_azureml import tags
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.execution import StepExecution
from zenml_azureml.lifecycle.lineage import outputs_as_metadata
from zenml_azureml.lifecycle.right_size import Machine
from zenml_azureml.run_store import step_runs
from zenml_azureml.secrets.known_values import masked

if TYPE_CHECKING:
    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.plugin.workspaces import OperatorWorkspaces

logger = get_logger(__name__)


class AzureJobs:
    """The jobs of one operator's steps.

    Thread-safe, as the workspaces are.

    Args:
        workspaces: Their workspaces.
    """

    def __init__(self, workspaces: OperatorWorkspaces) -> None:
        self._workspaces = workspaces

    def workspace(self, step: StepExecution, target: int = 0) -> Workspace:
        """Return the workspace of a step's target."""
        return self._workspaces.workspace(step.plan.targets[target].settings)

    def watch(self, step: StepExecution, *, quietly: bool = False) -> JobHandle:
        """Return the job of a step, and start to watch it.

        Args:
            step: The step.
            quietly: True to show no log; has no effect on a job that is watched.
        """
        from zenml_azureml.azure.jobs.watch import WatchOptions

        name = step.name

        def show(line: str) -> None:
            logger.info("[%s] %s", name, masked(line))

        plan = step.plan
        shown = show if plan.settings.stream_logs and not quietly else None
        options = WatchOptions(
            tag=tags.of_run(step.run_id),
            patience=plan.unreachable_timeout,
            studio_url=step.state.attempt.studio_url,
            on_line=shown,
            on_progress=shown,
            processes_per_node=plan.processes_per_node,
        )
        return self.workspace(step).watch(step.job_name, options)

    def cancel(self, step: StepExecution) -> bool:
        """Request the cancellation of a step's job; True if there is such a job.

        Raises:
            AzureMLError: If Azure refuses or cannot be reached.
        """
        return self.workspace(step).cancel(step.job_name)

    def how_to_cancel(self, step: StepExecution) -> str:
        """Return a line with the command that cancels a step's job."""
        return self.workspace(step).how_to_cancel(step.job_name)

    def drop_secret(self, step: StepExecution, *, in_background: bool = False) -> None:
        """Delete the secret of a step's job in a key vault. Never raises."""
        recorded = step_runs.recorded_vault_secret(step.step_run)
        self.workspace(step).drop_secret(step.job_name, recorded, in_background=in_background)

    def metrics(self, step: StepExecution) -> dict[str, float | str]:
        """Return the metrics of a step's job if its settings request them. Never raises: a failure is logged."""
        if step.plan.settings.metrics_as_metadata:
            with _logged(f"Could not read the metrics of step `{step.name}`"):
                return self.workspace(step).metrics(step.job_name)
        return {}

    def written_data(self, step: StepExecution, job: JobHandle) -> dict[str, Any]:
        """Return what a step's job has written, as metadata. Never raises: a failure is logged."""
        outputs = step.plan.targets[step.state.attempt.target].resolution.options.outputs
        if outputs and job.phase.value == "completed":
            with _logged(f"Could not read the outputs of step `{step.name}`"):
                assets = self.workspace(step).written_data(job.name, [one.name for one in outputs])
                return outputs_as_metadata(outputs, assets, job.studio_url)
        return {}

    def machine(self, step: StepExecution) -> Machine:
        """Return what the newest job of a step ran on, as it was requested."""
        attempt = step.state.attempt
        return Machine.of(self.workspace(step), step.plan.targets[attempt.target].resolution, attempt)

    def release(self, step: StepExecution) -> None:
        """Stop watching the jobs of a step, and delete the computes that `delete_compute_after` applies to.

        Raises:
            AzureMLError: If a compute cannot be deleted. The message has the command that deletes it.
        """
        workspace = self.workspace(step)
        for name in step.all_job_names:
            workspace.release(name)

    def release_earlier(self, step: StepExecution, job_name: str) -> None:
        """Release an earlier job of a step, which has ended. Never raises: a failure is logged."""
        try:
            self.workspace(step).release(job_name)
        except AzureMLError as error:
            logger.warning("%s", error)

    def leave(self, step: StepExecution) -> None:
        """Stop watching the job of a step, which is held open, and release those before it. Never raises."""
        for name in step.all_job_names[:-1]:
            self.release_earlier(step, name)
        self.workspace(step).leave(step.job_name)


@contextmanager
def _logged(failure: str) -> Iterator[None]:
    """Log the failure of a block rather than raise it: the end of a step is worth more than what its job leaves."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - as above
        reason = (error.azure_message or error.summary) if isinstance(error, AzureMLError) else repr(error)
        logger.warning("%s: %s", failure, " ".join(reason.split()))
