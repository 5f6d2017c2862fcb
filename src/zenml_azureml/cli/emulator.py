"""`zenml-azureml emulator`: its commands; those that stop it, show it and print variables for clients are here."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from zenml_azureml.cli.emulator_client import ask, running_in, state_option
from zenml_azureml.cli.emulator_logs import logs
from zenml_azureml.cli.emulator_page import open_page
from zenml_azureml.cli.emulator_start import start
from zenml_azureml.cli.extras import require_extra
from zenml_azureml.cli.output import echo
from zenml_azureml.cli.progress import working
from zenml_azureml.cli.scenario import scenario
from zenml_azureml.cli.tables import show_facts

if TYPE_CHECKING:
    from zenml_azureml.emulator.local.instance import Running


@click.group(short_help="Run an Azure ML emulator on this machine.")
def emulator() -> None:
    """Run an Azure ML emulator on this machine, for the real SDK."""
    require_extra("emulator", "aiohttp", "certifi", "jwt", "platformdirs", "psutil", "trustme")


@emulator.command(short_help="Stop the emulator and all its jobs.")
@state_option
def stop(state: Path) -> None:
    """Stop the emulator and all its jobs."""
    from zenml_azureml.emulator.local import daemon, instance

    running = daemon.find(state)
    not_saved = None if running is None else _why_not_saved(running)
    try:
        with working("Stopping the emulator and its jobs"):
            ran = daemon.stop(state)
    except instance.DaemonError as error:
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


emulator.add_command(start)
emulator.add_command(logs)
emulator.add_command(open_page)
emulator.add_command(scenario)


def _why_not_saved(running: Running) -> str | None:
    """Return why the state of an emulator is not saved; None if it is, or if the emulator does not answer."""
    import requests

    with suppress(click.ClickException, requests.RequestException):
        why: str | None = ask(running, "/_emulator/status", timeout=2).get("not_saved")
        return why
    return None


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
