"""`zenml-azureml jobs shell`: a shell in the container of a job that runs, by the job's SSH service."""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zenml_azureml.cli.options import chosen_places, click_errors, found_job, log_to_stderr, place_options
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working

if TYPE_CHECKING:
    from zenml_azureml.azure.jobs.snapshot import JobSnapshot
    from zenml_azureml.exceptions import AzureMLError


@click.command(short_help="Open a shell in the container of a job.")
@click.argument("job_or_step_run", metavar="JOB_OR_STEP_RUN")
@click.argument("command", metavar="[-- COMMAND...]", nargs=-1)
@click.option(
    "--node", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Node of the job, from 0."
)
@click.option(
    "-i",
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Private key to log in with.  [default: the keys that ssh uses]",
)
@place_options
def shell(
    *, job_or_step_run: str, command: tuple[str, ...], node: int, identity: Path | None, **where: str | None
) -> None:
    """Open a shell in the container of a job, or run a command there.

    The job must run, or be held open after its failure, and have a service of the type `ssh` with your public key. The
    exit code is that of the shell or the command, or 255 if ssh fails. `-- COMMAND` runs a program with its arguments;
    for pipes and variables: `-- sh -c 'COMMAND'`.
    """
    log_to_stderr()
    from zenml_azureml.cli.ssh import run_ssh, ssh_command

    with click_errors():
        program = _ssh()
        place, job = found_job(job_or_step_run, chosen_places(**where))
        if (reason := why_not(job)) is not None:
            raise reason
        with ExitStack() as stack:
            # Only this user can open the folder.
            address = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zenml-azureml-"))) / "tunnel"
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(address))
            listening.listen(1)
            with working("Connecting"):
                tunnel = stack.enter_context(place.workspace.shell(job.name, node))
            tunnel.serve(listening)
            terminal = sys.stdin.isatty() and sys.stdout.isatty()
            code = run_ssh(ssh_command(program, address, job.name, command, identity=identity, terminal=terminal))
    if code == 255:
        echo(
            "ssh has exited with code 255. If the job has refused the key: it accepts only the keys in "
            "`ssh_public_keys` of its service. `--identity FILE` selects the private key.",
            err=True,
        )
    sys.exit(code)


def why_not(job: JobSnapshot) -> AzureMLError | None:
    """Return the reason why a job has no container to open a shell in; None if it may have one.

    Args:
        job: The job.
    """
    from zenml_azureml.azure.jobs.status import JobPhase
    from zenml_azureml.exceptions import AzureMLError

    if job.phase.ended:
        return AzureMLError(
            f"The Azure ML job `{job.name}` has ended: {job.status}. Its container is gone.",
            hint=f"To show what is left of it: zenml-azureml jobs show {job.name}\nTo keep the container of the next "
            "failed step, set `hold_on_failure_minutes` and a service of the type `ssh`.",
        )
    if job.phase is not JobPhase.RUNNING:
        return AzureMLError(
            f"The Azure ML job `{job.name}` is not running yet: its status is {job.status}.",
            hint=f"Try again when it is running. To show it: zenml-azureml jobs show {job.name}",
        )
    return None


def _ssh() -> str:
    from zenml_azureml.exceptions import AzureMLError

    found = shutil.which("ssh")
    if found is None:
        raise AzureMLError(
            "The program `ssh` is not installed.",
            hint="Install OpenSSH's client (the package `openssh-client` on Debian and Ubuntu). Without it, the job's "
            "page in Studio opens VS Code and JupyterLab: zenml-azureml jobs open JOB",
        )
    return found
