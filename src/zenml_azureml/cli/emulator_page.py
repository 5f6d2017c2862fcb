"""`zenml-azureml emulator open`: the emulator's page, in a browser of the user who started it."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

import click

from zenml_azureml.cli.emulator_client import ask, running_in, state_option
from zenml_azureml.cli.output import echo


@click.command("open", short_help="Open the emulator's page in a browser.")
@state_option
@click.option("--print", "only_print", is_flag=True, help="Print the link, and start no browser.")
def open_page(state: Path, only_print: bool) -> None:
    """Open the emulator's page in a browser: jobs, logs, computes and requests, live.

    The link works once and for five minutes. The browser warns of the emulator's certificate, which no authority that
    it knows has signed.
    """
    url = str(ask(running_in(state), "/_emulator/open", {})["url"])
    echo(url)
    if not only_print and _has_screen():
        webbrowser.open(url)


def _has_screen() -> bool:
    """True if a browser has a screen to appear on: otherwise Python would start one for the terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
