"""`zenml-azureml emulator`: start, stop and inspect an Azure ML emulator on this machine."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zenml_azureml.cli.emulator_client import ask, running_in, state_option
from zenml_azureml.cli.extras import require_extra
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.cli.scenario import scenario
from zenml_azureml.cli.tables import show_facts

if TYPE_CHECKING:
    from zenml_azureml.emulator.local.instance import Running

DEFAULT_PORT = 10443

_FOLLOW_SECONDS = 0.2


@click.group(short_help="Run an Azure ML emulator on this machine.")
def emulator() -> None:
    """Run an Azure ML emulator on this machine, for the real SDK."""
    require_extra("emulator", "aiohttp", "certifi", "jwt", "platformdirs", "psutil", "trustme")


@emulator.command(short_help="Start the emulator in the background.")
@state_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=DEFAULT_PORT,
    show_default=True,
    help="Port on 127.0.0.1; 0 for a free one.",
)
@click.option(
    "--proxy",
    is_flag=True,
    help="Also serve Azure's public hosts, through a proxy on the next port. For clients without a setting for another "
    "endpoint, such as ZenML's service connectors.",
)
@click.option(
    "--runtime",
    type=click.Choice(["process", "docker", "simulated"]),
    default="process",
    show_default=True,
    help="Run jobs as processes, as containers of their images, or simulate them.",
)
@click.option(
    "--docker-network",
    metavar="NETWORK",
    help="Docker network of the jobs; with `host`, jobs reach services on this machine's 127.0.0.1.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="[IMAGE=]INTERPRETER",
    help="Python interpreter for jobs of IMAGE, or of all other images. Repeatable.  [default: the emulator's own]",
)
@click.option(
    "--subscription",
    default="00000000-0000-0000-0000-000000000001",
    show_default=True,
    metavar="ID",
    help="Subscription of the workspace.",
)
@click.option(
    "--resource-group",
    default="emulator",
    show_default=True,
    metavar="NAME",
    help="Resource group of the workspace.",
)
@click.option("--workspace", default="emulator", show_default=True, metavar="NAME", help="Name of the workspace.")
@click.option(
    "--location", default="westeurope", show_default=True, metavar="REGION", help="Azure region of the workspace."
)
@click.option(
    "--cloud",
    type=click.Choice(["AzureCloud", "AzureChinaCloud", "AzureUSGovernment"]),
    default="AzureCloud",
    show_default=True,
    help="Azure cloud to emulate: its token issuer and its Studio.",
)
@click.option("--foreground", is_flag=True, help="Serve in this process until Ctrl+C.")
def start(
    *,
    state: Path,
    port: int,
    proxy: bool,
    runtime: Any,
    docker_network: str | None,
    pythons: tuple[str, ...],
    subscription: str,
    resource_group: str,
    workspace: str,
    location: str,
    cloud: str,
    foreground: bool,
) -> None:
    """Start the emulator in the background; returns when it accepts requests."""
    from zenml_azureml.emulator.local import daemon, instance

    if runtime == "docker":
        require_extra("docker", "docker")
    if (running := daemon.find(state)) is not None:
        echo(f"The emulator is already running: {running.base_url} (process {running.pid}).")
        return
    default, interpreters = _interpreters(pythons)
    options = instance.Options(
        port=port,
        proxy=proxy,
        runtime=runtime,
        interpreters=interpreters,
        default_interpreter=default,
        docker_network=docker_network,
        subscription_id=subscription,
        resource_group=resource_group,
        workspace_name=workspace,
        location=location,
        cloud=cloud,
    )
    try:
        if foreground:
            daemon.serve(state, options, announce=_announce)
        else:
            with working("Starting the emulator"):
                started = daemon.start(state, options)
            _announce(started)
    except daemon.DaemonError as error:
        raise click.ClickException(str(error)) from error


@emulator.command(short_help="Stop the emulator and all its jobs.")
@state_option
def stop(state: Path) -> None:
    """Stop the emulator and all its jobs."""
    from zenml_azureml.emulator.local import daemon

    try:
        with working("Stopping the emulator and its jobs"):
            ran = daemon.stop(state)
    except daemon.DaemonError as error:
        raise click.ClickException(str(error)) from error
    echo(f"Stopped the emulator of {state}." if ran else f"No emulator runs in {state}.")


@emulator.command(short_help="Show the emulator, its jobs and computes.")
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(state: Path, as_json: bool) -> None:
    """Show the emulator, its jobs and its computes. Exit code 1 if no emulator is running."""
    from zenml_azureml.emulator.local import daemon

    running = daemon.find(state)
    if running is None:
        echo(json.dumps({"running": False, "state": str(state)}) if as_json else f"No emulator runs in {state}.")
        sys.exit(1)
    held = ask(running, "/_emulator/status")
    uptime = datetime.now(timezone.utc) - datetime.fromisoformat(running.started_at)
    if as_json:
        facts = {
            "running": True,
            "state": str(running.state),
            "endpoint": running.base_url,
            "proxy": running.proxy_url,
            "pid": running.pid,
            "uptime_seconds": round(uptime.total_seconds(), 1),
            "subscription_id": running.options.subscription_id,
            "resource_group": running.options.resource_group,
            "workspace_name": running.options.workspace_name,
            **held,
        }
        echo(json.dumps(facts, indent=2))
    else:
        _show_status(running, uptime, held)


@emulator.command(short_help="Print environment variables for scripts.")
@state_option
@click.option("--unset", is_flag=True, help="Print the commands that restore the environment.")
@click.option(
    "--sign-in",
    type=click.Choice(["workload-identity", "client-secret", "managed-identity", "azure-cli"]),
    default="workload-identity",
    show_default=True,
    help="Credential of scripts. After `azure-cli`, log in: see the documentation of the emulator.",
)
def env(state: Path, unset: bool, sign_in: Any) -> None:
    """Print the environment variables that point SDKs at the emulator.

    Use it in a shell: eval "$(zenml-azureml emulator env)"
    """
    from zenml_azureml.emulator.local import shell_env

    if unset:
        lines = shell_env.unset_lines(os.environ)
    else:
        running = running_in(state)
        bundle = shell_env.ca_bundle(running, os.environ)
        lines = shell_env.set_lines(shell_env.variables(running, bundle, os.environ, sign_in), os.environ)
    echo("\n".join(lines))


@emulator.command(short_help="Print the log of a job.")
@state_option
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Follow the log until the job ends.")
def logs(state: Path, job: str, follow: bool) -> None:
    """Print the log of a job."""
    folder = _log_folder(state, job)
    printed: dict[Path, int] = {}
    while True:
        # Checked first, so that the last lines of the job are still read.
        going_on = follow and not _has_ended(state, job)
        for log_file in sorted(folder.rglob("std_log*.txt")):
            _print_rest(log_file, printed)
        if not going_on:
            return
        time.sleep(_FOLLOW_SECONDS)


emulator.add_command(scenario)


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


def _interpreters(pythons: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Return the default interpreter, and the interpreters by image, from the values of `--python`."""
    default, by_image = sys.executable, {}
    for given in pythons:
        image, has_image, interpreter = given.rpartition("=")
        # Not resolved: the interpreter of a virtual environment is a link, and its path identifies the environment.
        path = os.path.abspath(Path(interpreter).expanduser())  # noqa: PTH100
        if not os.access(path, os.X_OK) or not Path(path).is_file():
            raise click.BadParameter(f"`{interpreter}` is not an executable file.", param_hint="--python")
        if has_image:
            by_image[image] = path
        else:
            default = path
    return default, by_image


def _log_folder(state: Path, job: str) -> Path:
    """Return the folder of a job's logs, which may not exist yet."""
    folder = state / "jobs" / job
    if folder.parent != state / "jobs" or not folder.is_dir():
        raise click.ClickException(
            f"There is no job `{job}` in {state}. An emulator keeps its jobs until its next start."
        )
    return folder / "user_logs"


def _has_ended(state: Path, job: str) -> bool:
    from zenml_azureml.emulator.local import daemon
    from zenml_azureml.emulator.state import TERMINAL_STATES

    running = daemon.find(state)
    return running is None or ask(running, f"/_emulator/jobs/{job}")["status"] in TERMINAL_STATES


def _announce(running: Running) -> None:
    name = running.options.workspace_name
    echo(f"Azure ML emulator: {running.base_url} (workspace `{name}`, process {running.pid})")
    echo(f'Use it in this shell: eval "$(zenml-azureml emulator env --state {running.state})"')


def _show_status(running: Running, uptime: timedelta, held: dict[str, Any]) -> None:
    jobs = ", ".join(f"{number} {state}" for state, number in held["jobs"].items())
    computes = [f"{c['name']} ({c['kind']}, {c['size']}, {c['state']})" for c in held["computes"]]
    options = running.options
    facts = [
        ("Endpoint", running.base_url),
        *([("Proxy", running.proxy_url)] if running.proxy_url else []),
        ("Process", f"{running.pid}, up {timedelta(seconds=int(uptime.total_seconds()))}"),
        ("Subscription", options.subscription_id),
        ("Resource group", options.resource_group),
        ("Workspace", f"{options.workspace_name} ({options.location})"),
        ("Runtime", options.runtime),
        ("Jobs", jobs or "none"),
        ("Computes", "\n".join(computes) or "none"),
        ("State", str(running.state)),
    ]
    show_facts(facts)
