"""The one way from a command to the terminal: what it prints is safe there, whatever its words are."""

from __future__ import annotations

import click

from zenml_azureml.safe_text import safe_text


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text without anything that a terminal would obey.

    Args:
        text: The text.
        err: Whether to print to stderr.
        nl: Whether to end with a newline.
    """
    click.echo(safe_text(text), err=err, nl=nl)
