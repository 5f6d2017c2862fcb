"""`zenml-azureml emulator start`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zenml_azureml.cli.emulator_client import state_option
from zenml_azureml.cli.extras import require_extra
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working

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


@click.command(short_help="Start the emulator in the background.")
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
    from zenml_azureml.emulator.local import daemon, instance, serving

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
            serving.serve(state, options, announce=_announce)
        else:
            with working("Starting the emulator"):
                started = daemon.start(state, options)
            _announce(started)
            if replace(started.options, fresh=fresh) != options:  # another process has started it at the same moment
                _report_ignored(started, options)
    except instance.DaemonError as error:
        raise click.ClickException(str(error)) from error


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


def _announce(running: Running) -> None:
    name = running.options.workspace_name
    echo(f"Azure ML emulator: {running.base_url} (workspace `{name}`, process {running.pid})")
    echo(f'Use it in this shell: eval "$(zenml-azureml emulator env --state {running.state})"')
    echo(f"Its page: zenml-azureml emulator open --state {running.state}")
