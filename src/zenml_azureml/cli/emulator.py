"""`zenml-azureml emulator`: start, stop and inspect an Azure ML emulator on this machine."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zenml_azureml.cli.emulator_client import ask, running_in, state_option
from zenml_azureml.cli.emulator_logs import logs
from zenml_azureml.cli.emulator_page import open_page
from zenml_azureml.cli.extras import require_extra
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.cli.scenario import scenario
from zenml_azureml.cli.tables import show_facts

if TYPE_CHECKING:
    from zenml_azureml.emulator.local.instance import Options, Running

DEFAULT_PORT = 10443

#: Options of `start`, and the fields of an emulator's options that they set.
_FIELDS = {
    "port": ("port",),
    "listen": ("listen",),
    "advertise": ("advertise",),
    "proxy": ("proxy",),
    "runtime": ("runtime",),
    "docker_network": ("docker_network",),
    "pythons": ("interpreters", "default_interpreter"),
    "subscription": ("subscription_id",),
    "resource_group": ("resource_group",),
    "workspace": ("workspace_name",),
    "location": ("location",),
    "cloud": ("cloud",),
}
#: Options of `start` that a running emulator always ignores.
_OF_A_START = ("foreground", "fresh")


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
    "--listen",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="IP address to listen on; 0.0.0.0 for all of this machine. Needs --advertise.",
)
@click.option(
    "--advertise",
    metavar="URL",
    help="URL at which other machines or containers reach the emulator, such as https://emulator:10443. Its key vault "
    "has the port after the next one.",
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
    help="Azure cloud to emulate, which issues its tokens.",
)
@click.option("--fresh", is_flag=True, help="Delete the jobs, assets and outputs in the state folder first.")
@click.option("--foreground", is_flag=True, help="Serve in this process until Ctrl+C.")
def start(
    *,
    state: Path,
    port: int,
    listen: str,
    advertise: str | None,
    proxy: bool,
    runtime: Any,
    docker_network: str | None,
    pythons: tuple[str, ...],
    subscription: str,
    resource_group: str,
    workspace: str,
    location: str,
    cloud: str,
    fresh: bool,
    foreground: bool,
) -> None:
    """Start the emulator in the background; returns when it accepts requests.

    It has the jobs, assets and outputs of the last emulator of its state folder.
    """
    from zenml_azureml.emulator.local import daemon, instance

    if runtime == "docker":
        require_extra("docker", "docker")
    default, interpreters = _interpreters(pythons)
    options = instance.Options(
        port=port,
        listen=listen,
        advertise=advertise,
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
        fresh=fresh,
    )
    if (running := daemon.find(state)) is not None:
        echo(f"The emulator is already running: {running.base_url} (process {running.pid}).")
        _report_ignored(running, options)
        return
    try:
        if foreground:
            daemon.serve(state, options, announce=_announce)
        else:
            with working("Starting the emulator"):
                started = daemon.start(state, options)
            _announce(started)
            if replace(started.options, fresh=fresh) != options:  # another process has started it at the same moment
                _report_ignored(started, options)
    except daemon.DaemonError as error:
        raise click.ClickException(str(error)) from error


@emulator.command(short_help="Stop the emulator and all its jobs.")
@state_option
def stop(state: Path) -> None:
    """Stop the emulator and all its jobs."""
    from zenml_azureml.emulator.local import daemon

    running = daemon.find(state)
    not_saved = None if running is None else _why_not_saved(running)
    try:
        with working("Stopping the emulator and its jobs"):
            ran = daemon.stop(state)
    except daemon.DaemonError as error:
        raise click.ClickException(str(error)) from error
    if not_saved:
        echo(f"Its last changes may be lost, for they were not saved: {not_saved}")
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
@click.option(
    "--elsewhere",
    metavar="FOLDER",
    help="Print the variables for another machine or container. FOLDER there has copies of the state folder's "
    "`ca-bundle.pem` and `federated-token`, or is the state folder.",
)
def env(state: Path, unset: bool, sign_in: Any, elsewhere: str | None) -> None:
    """Print the environment variables that point SDKs at the emulator.

    Use it in a shell: eval "$(zenml-azureml emulator env)"
    """
    from zenml_azureml.emulator.local import shell_env

    if unset:
        lines = shell_env.unset_lines(os.environ)
    elif elsewhere is not None:
        values = shell_env.variables_elsewhere(running_in(state), PurePosixPath(elsewhere), sign_in)
        lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    else:
        running = running_in(state)
        bundle = shell_env.ca_bundle(running, os.environ)
        lines = shell_env.set_lines(shell_env.variables(running, bundle, os.environ, sign_in), os.environ)
        if not running.proxy_url:
            lines.append(f"# {shell_env.REACH_AZURE}")  # at the end: an unquoted $(...) makes one line of all
    echo("\n".join(lines))


emulator.add_command(logs)
emulator.add_command(open_page)
emulator.add_command(scenario)


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


def _report_ignored(running: Running, wanted: Options) -> None:
    """Name the options on the command line that a running emulator was not started with."""
    context = click.get_current_context()
    ignored = []
    for parameter in context.command.params:
        if context.get_parameter_source(parameter.name or "") is not ParameterSource.COMMANDLINE:
            continue
        fields = _FIELDS.get(parameter.name or "", ())
        if parameter.name in _OF_A_START or any(
            getattr(running.options, field) != getattr(wanted, field) for field in fields
        ):
            ignored.append(parameter.opts[0])
    if ignored:
        echo(
            f"It ignores {', '.join(ignored)}. To use other options, stop it first: "
            f"zenml-azureml emulator stop --state {running.state}"
        )


def _why_not_saved(running: Running) -> str | None:
    """Return why the state of an emulator is not saved; None if it is, or if the emulator does not answer."""
    import requests

    with suppress(click.ClickException, requests.RequestException):
        why: str | None = ask(running, "/_emulator/status", timeout=2).get("not_saved")
        return why
    return None


def _announce(running: Running) -> None:
    name = running.options.workspace_name
    echo(f"Azure ML emulator: {running.base_url} (workspace `{name}`, process {running.pid})")
    echo(f'Use it in this shell: eval "$(zenml-azureml emulator env --state {running.state})"')
    echo(f"Its page: zenml-azureml emulator open --state {running.state}")


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
        ("State", f"{running.state}\nNOT SAVED: {held['not_saved']}" if held.get("not_saved") else str(running.state)),
    ]
    show_facts(facts)
