"""Output of commands, without control characters that a terminal would obey."""

from __future__ import annotations

import click

from zenml_azureml.safe_text import safe_text


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text without control characters that a terminal would obey.

    Args:
        text: The text.
        err: True to print to stderr.
        nl: True to end with a newline.
    """
    click.echo(safe_text(text), err=err, nl=nl)
