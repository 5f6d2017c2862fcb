"""What other processes do to a run: each is the work of a forked one."""

from __future__ import annotations

from uuid import UUID


def stop_run(run_id: str, *, graceful: bool) -> None:
    """As `zenml pipeline runs stop` does; to force it is more than the local orchestrator can, but it is asked to."""
    from zenml.client import Client
    from zenml.utils import run_utils

    run_utils.stop_run(run=Client().get_pipeline_run(UUID(run_id)), graceful=graceful)


def end_run(run_id: str) -> None:
    """End the steps of a run for the server, as another process does: a run's status follows from theirs, or is set."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update, publish_step_run_status_update

    run = Client().get_pipeline_run(UUID(run_id))
    for step_run in run.steps.values():
        if not step_run.status.is_finished:
            publish_step_run_status_update(step_run.id, ExecutionStatus.STOPPED)
    if run.snapshot is not None and run.snapshot.is_dynamic:
        publish_pipeline_run_status_update(run.id, ExecutionStatus.STOPPED)


def report_end(step_run_id: str, exit_code: int, *, held: bool = False) -> None:
    """Report the end of a step that is a function, as its own code does in a real job; before, that its job is held."""
    from datetime import datetime, timedelta, timezone

    from zenml import log_metadata
    from zenml.enums import ExecutionStatus
    from zenml.models import ExceptionInfo
    from zenml.orchestrators.publish_utils import publish_step_run_status_update

    from tests.chaos.rules.facts import CODE_FAILED
    from tests.chaos.schedule import HOLD_MINUTES
    from zenml_azureml.contract.hold import HELD_UNTIL

    if exit_code == 0:
        publish_step_run_status_update(UUID(step_run_id), ExecutionStatus.COMPLETED)
    else:
        if held:
            until = datetime.now(timezone.utc) + timedelta(minutes=HOLD_MINUTES)
            log_metadata(metadata={HELD_UNTIL: until.isoformat()}, step_id=UUID(step_run_id))
        broken = ExceptionInfo(traceback="", source="tests.chaos.orchestrator.StepFailedError", message=CODE_FAILED)
        publish_step_run_status_update(UUID(step_run_id), ExecutionStatus.FAILED, exception_info=broken)
