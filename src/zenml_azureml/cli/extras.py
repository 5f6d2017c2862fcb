"""Commands that need an optional part of the package."""

from __future__ import annotations

from importlib.util import find_spec

import click


def require_extra(extra: str, *modules: str) -> None:
    """Check that an extra of the package is installed.

    Args:
        extra: Name of the extra.
        modules: Modules that it installs.

    Raises:
        click.ClickException: If a module is missing, with the command that installs it.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise click.ClickException(
            f"This needs {', '.join(missing)}. Install it with: pip install 'zenml-azureml[{extra}]'"
        )
