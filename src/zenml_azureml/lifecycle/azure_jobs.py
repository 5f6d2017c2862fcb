"""What the lifecycle of a step needs of Azure: the operations on the newest job of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from zenml.logger import get_logger

from zenml_azureml import tags
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.lifecycle.execution import StepExecution
from zenml_azureml.lifecycle.lineage import outputs_as_metadata
from zenml_azureml.lifecycle.right_size import Offer, ran_on
from zenml_azureml.run_store import step_runs
from zenml_azureml.secrets.known_values import masked

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_azureml.azure.client import Workspace
    from zenml_azureml.azure.jobs.handle import JobHandle
    from zenml_azureml.azure.sizes.advice import Ran
    from zenml_azureml.settings.models import AzureMLStepOperatorSettings

logger = get_logger(__name__)


class Workspaces(Protocol):
    """The Azure ML workspaces of a step operator."""

    def workspace(self, settings: AzureMLStepOperatorSettings) -> Workspace:
        """Return the workspace that settings select."""

    def of_step(self, step_run: StepRunResponse) -> Workspace | None:
        """Return the workspace of a step run of any operator of the stack; None if it is not known."""


class AzureJobs:
    """The jobs of one operator's steps.

    Thread-safe, as the workspaces are.

    Args:
        workspaces: Their workspaces.
    """

    def __init__(self, workspaces: Workspaces) -> None:
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
        if not step.plan.settings.metrics_as_metadata:
            return {}
        try:
            return self.workspace(step).metrics(step.job_name)
        except Exception as error:  # noqa: BLE001 - the end of the step is worth more than its metrics
            reason = (error.azure_message or error.summary) if isinstance(error, AzureMLError) else repr(error)
            logger.warning("Could not read the metrics of step `%s`: %s", step.name, " ".join(reason.split()))
            return {}

    def written_data(self, step: StepExecution, job: JobHandle) -> dict[str, Any]:
        """Return what a step's job has written, as metadata. Never raises: a failure is logged."""
        outputs = step.plan.targets[step.state.attempt.target].resolution.options.outputs
        if not outputs or job.phase.value != "completed":
            return {}
        try:
            assets = self.workspace(step).written_data(job.name, [one.name for one in outputs])
            return outputs_as_metadata(outputs, assets, job.studio_url)
        except Exception as error:  # noqa: BLE001 - the end of the step is worth more than its outputs
            reason = (error.azure_message or error.summary) if isinstance(error, AzureMLError) else repr(error)
            logger.warning("Could not read the outputs of step `%s`: %s", step.name, " ".join(reason.split()))
            return {}

    def ran_on(self, step: StepExecution) -> tuple[Ran | None, Offer | None]:
        """Return what the newest job of a step ran on, with the sizes and quota of its region. Never raises."""
        attempt = step.state.attempt
        try:
            return ran_on(self.workspace(step), step.plan.targets[attempt.target].resolution, attempt)
        except Exception as error:  # noqa: BLE001 - advice is worth no failure
            logger.debug("The VM size of the step `%s` is not known: %s", step.name, error)
            return None, None

    def release(self, step: StepExecution) -> None:
        """Stop watching the jobs of a step, and delete the computes that `delete_compute_after` applies to.

        Raises:
            AzureMLError: If a compute cannot be deleted. The message has the command that deletes it.
        """
        workspace = self.workspace(step)
        for name in {attempt.job for attempt in step.state.attempts if attempt.job} | {step.job_name}:
            workspace.release(name)

    def leave(self, step: StepExecution) -> None:
        """Stop watching the job of a step, which is held open, and release those before it. Never raises."""
        workspace = self.workspace(step)
        for name in {attempt.job for attempt in step.state.attempts if attempt.job} - {step.job_name}:
            try:
                workspace.release(name)
            except AzureMLError as error:
                logger.warning("%s", error)
        workspace.leave(step.job_name)
