"""The emulator that a command uses, and requests to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from zenml_azureml.emulator.local.instance import Running

_Command = TypeVar("_Command", bound=Callable[..., Any])


_STATE_VARIABLE = "ZENML_AZUREML_EMULATOR_STATE"


class StateFolder(click.Path):
    """A folder for state. An empty name is an error: `--state "$UNSET"` must not mean the current folder."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path that a user has typed."""
        if isinstance(value, str) and not value.strip():
            self.fail("it is empty. Name a folder, or omit the option.", param, ctx)
        return super().convert(value, param, ctx)


class _StateOption(click.Option):
    """An option whose environment variable must not be empty: Click treats an empty one as unset."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the variable's value, None if it is not set."""
        value = os.environ.get(_STATE_VARIABLE)
        if value is not None and not value.strip():
            raise click.BadParameter(
                f"{_STATE_VARIABLE} is set, but empty. Unset it, or name a folder.", ctx=ctx, param=self
            )
        return super().resolve_envvar_value(ctx)


def _default_state() -> Path:
    from platformdirs import user_state_path

    return user_state_path("zenml-azureml") / "emulator"


def state_option(command: _Command) -> _Command:
    """Add `--state`, which selects the emulator."""
    return click.option(
        "--state",
        cls=_StateOption,
        type=StateFolder(),
        envvar=_STATE_VARIABLE,
        default=_default_state,
        show_default="a folder in your home",
        help="State folder of the emulator.",
    )(command)


def running_in(state: Path) -> Running:
    """Return the running emulator of a state folder.

    Raises:
        click.ClickException: If none runs there.
    """
    from zenml_azureml.emulator.local import daemon

    running = daemon.find(state)
    if running is None:
        raise click.ClickException(
            f"No emulator runs in {state}. Start one: zenml-azureml emulator start --state {state}"
        )
    return running


def ask(running: Running, path: str, body: dict[str, Any] | None = None, *, timeout: float = 30) -> Any:
    """Return the answer of the emulator's admin interface to a GET, or to a POST with a body, within seconds.

    Raises:
        click.ClickException: If it refuses the request, e.g. because of an invalid body or another user's key.
    """
    import requests

    from zenml_azureml.emulator.local.keys import found_keys

    keys = found_keys(running.state)
    with requests.Session() as session:
        session.trust_env = False  # no proxy, and no other certificates
        answer = session.request(
            "GET" if body is None else "POST",
            running.local_url + path,
            json=body,
            headers=keys.admin_headers if keys else {},
            verify=str(running.ca_file),
            timeout=timeout,
        )
    if answer.status_code in (400, 401, 403):
        raise click.ClickException(answer.json()["error"])
    answer.raise_for_status()
    return answer.json()
