"""Checks of the options of a start."""

from __future__ import annotations

import re

from zenml_azureml.emulator.local.address import AddressError, Advertised, is_loopback
from zenml_azureml.emulator.local.instance import DaemonError, Options

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._()-]{0,89}")
_LAST_PORT = 65_535


def check(options: Options) -> None:
    """Refuse names that no address can have, and a port without a next one for the proxy.

    Raises:
        DaemonError: Names the option.
    """
    names = {
        "--subscription": options.subscription_id,
        "--resource-group": options.resource_group,
        "--workspace": options.workspace_name,
        "--location": options.location,
    }
    for option, name in names.items():
        if not _NAME.fullmatch(name):
            raise DaemonError(
                f"{option} cannot be {name[:100]!a}. Next steps: use 1 to 90 letters, digits, dots, hyphens, "
                "underscores or parentheses, with a letter or a digit first."
            )
    _check_addresses(options)
    if options.proxy and options.port == _LAST_PORT:
        raise DaemonError(f"The proxy needs the port after --port, and {_LAST_PORT} is the last one.")


def _check_addresses(options: Options) -> None:
    """Refuse addresses that clients could not use.

    Raises:
        DaemonError: Names the option.
    """
    try:
        shared = not is_loopback(options.listen)
    except AddressError as error:
        raise DaemonError(f"--listen: {error}") from error
    try:
        if options.advertise is not None:
            Advertised.parse(options.advertise)
    except AddressError as error:
        raise DaemonError(f"--advertise: {error}") from error
    if shared and options.advertise is None:
        raise DaemonError(
            f"--listen {options.listen} needs --advertise: the URL at which other machines or containers reach the "
            "emulator, which its answers name. For example: --advertise https://emulator:10443"
        )
    if options.proxy and (shared or options.advertise is not None):
        raise DaemonError("--proxy serves this machine alone: leave out --listen and --advertise, or --proxy.")
