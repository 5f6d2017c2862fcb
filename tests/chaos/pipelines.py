"""The pipelines that the suite runs. ZenML loads them by their names, so they read what they are to be from `PLAN`."""

# Without `from __future__ import annotations`: ZenML makes a model of each annotation that is a text, which takes time.

from collections.abc import Callable
from typing import Any

from zenml import CommandStep, pipeline
from zenml.config import DockerSettings, ResourceSettings
from zenml.config.retry_config import StepRetryConfig

from tests.chaos.catalogue import SECRET, VAULT_CLUSTER
from tests.chaos.schedule import NODES, PROCESSES_PER_NODE, PlannedStep, Schedule, Shape

IMAGE = DockerSettings(
    skip_build=True,
    parent_image="example.azurecr.io/train:1",
    allow_download_from_artifact_store=False,  # no code is needed, so none is packed
)

#: What costs time and is not looked at.
_OFF = {
    "enable_cache": False,
    "enable_step_logs": False,
    "enable_pipeline_logs": False,
    "enable_artifact_metadata": False,
}

STEPS: list[CommandStep] = []


def _static() -> None:
    before: list[str] = []
    for step in STEPS:
        step(after=before, id=step.name)
        before = [step.name]


def _dynamic() -> None:
    for step in STEPS:
        step()


def _concurrent() -> None:
    for future in [step.submit() for step in STEPS]:
        future.wait()


_FUNCTIONS: dict[Shape, Callable[[], None]] = {
    "static": _static,
    "retries": _static,
    "dynamic": _dynamic,
    "concurrent": _concurrent,
}


def run(schedule: Schedule) -> None:
    """Run the pipeline of a schedule in this process; to be called once.

    Raises:
        BaseException: Whatever ends it.
    """
    STEPS[:] = [_step(planned, schedule) for planned in schedule.steps]
    options: dict[str, Any] = {**_OFF, "settings": {"docker": IMAGE}, "name": "chaos"}
    if schedule.is_dynamic:
        options |= {"dynamic": True, "depends_on": STEPS, "execution_mode": "fail_fast"}
    function = _FUNCTIONS[schedule.shape]
    made = pipeline(**options)(function)
    globals()[function.__name__] = made  # where ZenML looks for it
    made.with_options(run_name=run_name(schedule))()


def run_name(schedule: Schedule) -> str:
    return f"chaos-{schedule.part}-{schedule.seed}-{schedule.number}"


def _step(planned: PlannedStep, schedule: Schedule) -> CommandStep:
    settings: dict[str, Any] = {
        "max_unreachable_minutes": schedule.patience_minutes,
        "stream_logs": schedule.stream_logs,
        "environment_variables": {
            "SIMULATE_SECONDS": str(planned.seconds),
            "SIMULATE_LINES": str(planned.lines),
            "SIMULATE_EXIT_CODE": str(planned.exit_code),
        },
    }
    if schedule.via_vault:
        settings |= {"compute_target_name": VAULT_CLUSTER, "secrets_via": "key-vault"}
        settings["environment_variables"]["CHAOS_PASSWORD"] = SECRET
    if schedule.many_nodes:
        settings["instance_count"] = NODES
        settings["distribution"] = {"type": "pytorch", "process_count_per_instance": PROCESSES_PER_NODE}
    if schedule.waits_in_vain:
        settings["queue_timeout_minutes"] = 0.2
        settings["fallback"] = [{"instance_type": "STANDARD_DS3_V2", "queue_timeout_minutes": 30}]
    if schedule.on_cluster:
        settings |= {"mode": "compute-cluster", "compute_name": "a-cluster", "size": "STANDARD_DS3_V2"}
    everything: dict[str, Any] = {"step_operator": settings}
    if schedule.asks_resources:
        everything["resources"] = ResourceSettings(cpu_count=2)
    return CommandStep(
        ["bash", "-c", command(planned)],
        name=planned.name,
        step_operator="azureml",
        settings=everything,
        retry=StepRetryConfig(max_retries=2, delay=0) if schedule.shape == "retries" else None,
    )


def command(planned: PlannedStep) -> str:
    """What the job runs where jobs are processes; the simulated runtime does the same without it."""
    pause = planned.seconds / planned.lines
    lines = f"for n in $(seq {planned.lines}); do echo simulated line $n of {planned.lines}; sleep {pause:g}; done"
    return f"{lines}; exit {planned.exit_code}"
