"""The pipelines that the suite runs. ZenML loads them by their names, so they read what they are to be from `PLAN`."""

# Without `from __future__ import annotations`: ZenML makes a model of each annotation that is a text, which takes time.

import os
from collections.abc import Callable
from typing import Any

from zenml import CommandStep, pipeline, step
from zenml.config import DockerSettings, ResourceSettings
from zenml.config.retry_config import StepRetryConfig

from tests.chaos.catalogue import DATA_ASSET, DATA_INPUT, SECRET, VAULT_CLUSTER
from tests.chaos.schedule import HOLD_MINUTES, NODES, PROCESSES_PER_NODE, TRIES, PlannedStep, Schedule, Shape

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

STEPS: list[Any] = []


def _static() -> None:
    before: list[str] = []
    for each in STEPS:
        each(after=before, id=each.name)
        before = [each.name]


def _dynamic() -> None:
    for each in STEPS:
        each()


def _concurrent() -> None:
    for future in [each.submit() for each in STEPS]:
        future.wait()


_FUNCTIONS: dict[Shape, Callable[[], None]] = {
    "static": _static,
    "retries": _static,
    "dynamic": _dynamic,
    "concurrent": _concurrent,
}


@step
def step0() -> None:
    """A step that is a function. Its job pretends to run it."""


@step
def step1() -> None:
    """Another one."""


@step
def step2() -> None:
    """And one more."""


_STEPS = {"step0": step0, "step1": step1, "step2": step2}


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
    made.with_options(run_name=schedule.run_name)()


def go_on(schedule: Schedule) -> None:
    """Go on with the run of a process that was killed, as a container does that is started again."""
    from zenml.client import Client

    client = Client()
    run = client.get_pipeline_run(schedule.run_name)
    assert run.snapshot is not None
    snapshot = client.get_snapshot(run.snapshot.id)
    orchestrator: Any = client.active_stack.orchestrator
    orchestrator._orchestrator_run_id = run.orchestrator_run_id
    orchestrator._prepare_run(snapshot)
    for name, configuration in snapshot.step_configurations.items():
        if name not in run.steps or not run.steps[name].status.is_successful:
            orchestrator.run_step(configuration)


def _step(planned: PlannedStep, schedule: Schedule) -> Any:
    settings: dict[str, Any] = {
        "max_unreachable_minutes": schedule.patience_minutes,
        "max_preemptions": schedule.max_preemptions,
        "stream_logs": schedule.stream_logs,
        "environment_variables": {
            "CHAOS_SECONDS": str(planned.seconds),
            "CHAOS_LINES": str(planned.lines),
            "CHAOS_EXIT_CODE": str(planned.exit_code),
            "CHAOS_HELD": str(int(schedule.held)),
            "CHAOS_RELEASE": f"{os.environ.get('CHAOS_DESK')}/release",
            "CHAOS_USAGE": schedule.usage,
            "CHAOS_REPORTS": str(int("CHAOS_DESK" in os.environ)),
        },
    }
    if schedule.holds:
        settings["hold_on_failure_minutes"] = HOLD_MINUTES
        settings["environment_variables"]["CHAOS_HOLDS"] = "1"
    if schedule.part == "server":
        settings["stop_check_seconds"] = 1
    if schedule.via_vault:
        settings |= {"compute_target_name": VAULT_CLUSTER, "secrets_via": "key-vault"}
        settings["environment_variables"]["CHAOS_PASSWORD"] = SECRET
    if schedule.many_nodes:
        settings["instance_count"] = NODES
        settings["distribution"] = {"type": "pytorch", "process_count_per_instance": PROCESSES_PER_NODE}
    if schedule.waits_in_vain:
        settings["queue_timeout_minutes"] = 0.2
        if schedule.fallback:
            settings["fallback"] = [{"instance_type": "STANDARD_DS3_V2", "queue_timeout_minutes": 300}]
    if schedule.with_data:
        settings["inputs"] = {DATA_INPUT: {"path": f"azureml:{DATA_ASSET}@latest", "mode": "direct"}}
    if schedule.with_shell:
        settings["services"] = {"shell": {"type": "ssh", "ssh_public_keys": os.environ.get("CHAOS_SSH_KEY", "no key")}}
    if schedule.max_usd:
        settings |= {"max_usd": schedule.max_usd, "instance_type": "STANDARD_DS3_V2"}
    if schedule.on_cluster:
        settings |= {"mode": "compute-cluster", "compute_name": "a-cluster", "size": "STANDARD_DS3_V2"}
    everything: dict[str, Any] = {"step_operator": settings}
    if schedule.asks_resources:
        everything["resources"] = ResourceSettings(cpu_count=2)
    options: dict[str, Any] = {
        "step_operator": "azureml",
        "settings": everything,
        "retry": StepRetryConfig(max_retries=TRIES - 1, delay=0) if schedule.shape == "retries" else None,
    }
    if planned.kind == "function":
        return _STEPS[planned.name].with_options(**options)
    return CommandStep(["bash", "-c", command(planned, schedule)], name=planned.name, **options)


def command(planned: PlannedStep, schedule: Schedule) -> str:
    """What the job runs where jobs are processes; held jobs do the same without it."""
    pause = planned.seconds / planned.lines / 20
    lines = (
        f"for n in $(seq {planned.lines}); do echo line $n of {planned.lines} of $AZUREML_RUN_ID; sleep {pause:g}; done"
    )
    hold = 'while [ ! -e "$CHAOS_RELEASE" ]; do sleep 0.1; done; ' if schedule.held else ""
    return f"{lines}; {hold}exit {planned.exit_code}"
