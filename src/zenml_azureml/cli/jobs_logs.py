"""`zenml-azureml jobs logs`: the log of a job, so far or until it ends."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from zenml_azureml.azure.jobs.watch import WatchOptions
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.safe_text import safe_log_line

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.job_admin.workspaces import Place

#: How long Azure may be unavailable while a log is followed.
_PATIENCE = timedelta(minutes=5)

_Printer = Callable[[str], None]


def print_log(place: Place, job: JobSnapshot, last: int | None, *, as_json: bool) -> None:
    """Print the log of a job so far.

    Args:
        place: Workspace of the job.
        job: The job.
        last: Number of lines at the end of the log; None for all.
        as_json: True to print each line as a JSON object.

    Raises:
        AzureMLError: If the log cannot be read.
    """
    show = _printer(job.name, as_json=as_json)
    kept: deque[str] = deque(maxlen=last)

    def take(lines: list[str]) -> None:
        if last is None:
            for line in lines:
                show(line)
        else:
            kept.extend(lines)

    if last is None:
        place.workspace.read_log(job, take)
    else:
        with working("Reading the log"):
            place.workspace.read_log(job, take)
    for line in kept:
        show(line)


def follow_log(place: Place, job: JobSnapshot, *, as_json: bool) -> None:
    """Print the log of a job until it has ended.

    Args:
        place: Workspace of the job.
        job: The job.
        as_json: True to print each line as a JSON object.

    Raises:
        AzureMLError: If the job cannot be watched any more.
    """
    if not job.phase.ended:  # it may be silent for hours
        echo(f"The Azure ML job `{job.name}` is {job.status}. Ctrl+C does not cancel it.", err=True)
    options = WatchOptions(
        tag="",
        patience=_PATIENCE,
        on_line=_printer(job.name, as_json=as_json),
        on_progress=lambda sentence: echo(sentence, err=True),
        processes_per_node=job.processes_per_node,
    )
    watched = place.workspace.watch(job.name, options)
    try:
        while not watched.wait(timedelta(seconds=1)):
            pass
    except KeyboardInterrupt:
        echo(f"The job keeps running. To cancel it: zenml-azureml jobs cancel {job.name}", err=True)
        sys.exit(130)
    if watched.error is not None:
        raise watched.error
    echo(f"The Azure ML job `{job.name}` has ended: {watched.status}.", err=True)


def _printer(job_name: str, *, as_json: bool) -> _Printer:
    def show(line: str) -> None:
        try:
            # Not `echo`: it would remove the colours of the log. `safe_log_line` leaves no other control characters.
            click.echo(json.dumps({"job": job_name, "line": line}) if as_json else safe_log_line(line))
        except BrokenPipeError:
            # The reader, e.g. `head`, has closed the pipe. Python would print another error at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            os._exit(0)

    return show
