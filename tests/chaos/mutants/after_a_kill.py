"""Mutants of what is done about the jobs of a process that was killed."""

from __future__ import annotations

from typing import Any

from tests.chaos.mutants.mutant import Mutant, nothing, put


def _end_no_run() -> None:
    from zenml_azureml.job_admin import run_status

    put(
        run_status,
        "mark_run_stopped",
        lambda run_id: __import__("zenml.client").client.Client().get_pipeline_run(run_id),
    )


def _cancel_no_job() -> None:
    from zenml_azureml.azure.client import Workspace

    put(Workspace, "cancel", lambda *_arguments: True)


def _report_no_end() -> None:
    from zenml_azureml.job_admin import run_status

    put(run_status, "publish_step_end", nothing)
    put(run_status, "mark_step_stopped", nothing)


def _end_no_earlier_job() -> None:
    from zenml_azureml.lifecycle.earlier_jobs import EarlierJobs

    put(EarlierJobs, "end", nothing)


_KILLED = (("job GET", "SIGKILL"), ("job PUT", "SIGKILL"))
_QUIET: dict[str, Any] = {"faults": ()}

MUTANTS = (
    Mutant(
        "no earlier job ended",
        _end_no_earlier_job,
        "one job",
        (("job GET", "restarted"), ("log", "restarted")),
        "retries",
        _QUIET,
    ),
    Mutant("recovery ends no run", _end_no_run, "recovery", _KILLED, "dynamic", _QUIET),
    Mutant("recovery cancels no job", _cancel_no_job, "recovery", _KILLED, "static", _QUIET),
    Mutant("recovery reports no end", _report_no_end, "recovery", _KILLED, "static", _QUIET),
)
