"""The emulator that a command is about, and what it answers."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.error import HTTPError

import click

if TYPE_CHECKING:
    from zenml_azureml.emulator.daemon import Running

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _default_state() -> Path:
    from platformdirs import user_state_path

    return user_state_path("zenml-azureml") / "emulator"


def state_option(command: _Command) -> _Command:
    """Add `--state`, which says which emulator is meant."""
    return click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="ZENML_AZUREML_EMULATOR_STATE",
        default=_default_state,
        show_default="a folder in your home",
        help="The one folder that the emulator keeps everything in.",
    )(command)


def running_in(state: Path) -> Running:
    """The emulator of a state folder.

    Raises:
        click.ClickException: If none runs there.
    """
    from zenml_azureml.emulator import daemon

    running = daemon.find(state)
    if running is None:
        raise click.ClickException(
            f"No emulator runs in {state}. Start one: zenml-azureml emulator start --state {state}"
        )
    return running


def ask(running: Running, path: str, body: dict[str, Any] | None = None) -> Any:
    """What an emulator's own interface answers: to a GET, or to a POST of a body.

    Raises:
        click.ClickException: If it refuses the body.
    """
    https = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=running.ca_file))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(running.base_url + path, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)
    except HTTPError as error:
        if error.code != 400:
            raise
        raise click.ClickException(json.load(error)["error"]) from error
