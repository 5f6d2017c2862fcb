"""`zenml-azureml emulator logs`: the log of a job of the emulator."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from zenml_azureml.cli.emulator_client import ask, state_option
from zenml_azureml.cli.output import echo

_FOLLOW_SECONDS = 0.2


@click.command(short_help="Print the log of a job.")
@state_option
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Follow the log until the job ends.")
def logs(state: Path, job: str, follow: bool) -> None:
    """Print the log of a job.

    A stopped emulator keeps the logs of its jobs.
    """
    from zenml_azureml.emulator.local import daemon

    runs = daemon.find(state) is not None
    folder = _log_folder(state, job, runs=runs)
    if not runs:
        echo(f"No emulator runs in {state}: this is the log of a job of its last run.", err=True)
    printed: dict[Path, int] = {}
    while True:
        # Checked first, so that the last lines of the job are still read.
        going_on = follow and not _has_ended(state, job)
        stopped_since = runs and daemon.find(state) is None
        for log_file in sorted(folder.rglob("std_log*.txt")):
            _print_rest(log_file, printed)
        if not going_on:
            break
        time.sleep(_FOLLOW_SECONDS)
    if stopped_since:
        echo(f"The emulator of {state} was stopped.", err=True)


def _print_rest(log_file: Path, printed: dict[Path, int]) -> None:
    """Print the part of a log that is not printed yet; with several logs, under a heading."""
    with log_file.open("rb") as log:
        log.seek(printed.setdefault(log_file, 0))
        new = log.read()
    if new:
        if len(printed) > 1:
            echo(f"==> {log_file.name} <==")
        printed[log_file] += sys.stdout.buffer.write(new)
        sys.stdout.flush()


def _log_folder(state: Path, job: str, *, runs: bool) -> Path:
    """Return the folder of a job's logs, which may not exist yet.

    Args:
        state: State folder of the emulator.
        job: Name of the job.
        runs: True if the emulator runs.
    """
    folder = state / "jobs" / job
    if folder.parent != state / "jobs" or not folder.is_dir():
        if not runs:
            raise click.ClickException(
                f"No emulator runs in {state}, and its last run left no job `{job}`. Start one: "
                f"zenml-azureml emulator start --state {state}"
            )
        raise click.ClickException(f"There is no job `{job}` in {state}.")
    return folder / "user_logs"


def _has_ended(state: Path, job: str) -> bool:
    import requests

    from zenml_azureml.emulator.local import daemon
    from zenml_azureml.emulator.resources import TERMINAL_STATES

    running = daemon.find(state)
    if running is None:
        return True
    try:
        return ask(running, f"/_emulator/jobs/{job}")["status"] in TERMINAL_STATES
    except (requests.ConnectionError, requests.Timeout):  # it is stopping
        return False
