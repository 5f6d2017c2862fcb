"""Aliases of settings: the names in ZenML's documentation, in its built-in operator, and in the Azure ML SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from zenml_azureml.exceptions import AzureMLSettingsError

#: Aliases of settings, each with its canonical name: the one of ZenML's built-in operator.
ALIASES: dict[str, str] = {
    "compute_size": "size",
    "idle_type_before_shutdown_minutes": "idle_time_before_shutdown_minutes",
    "idle_time_before_scale_down": "idle_time_before_scaledown_down",
}


def canonicalize(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings under their canonical names.

    Args:
        data: Settings by any of their names.

    Returns:
        The same settings, without the keys of `ALIASES`.

    Raises:
        AzureMLSettingsError: If two names of one setting have different values.
    """
    settings = dict(data)
    for alias, name in ALIASES.items():
        value = settings.pop(alias, None)
        if value is None:
            continue
        if settings.get(name) not in (None, value):
            raise AzureMLSettingsError(
                f"`{alias}={value!r}` and `{name}={settings[name]!r}` are two names of one setting with different "
                "values. Keep one of them."
            )
        settings[name] = value
    return settings


def reject_unknown_keys(data: Iterable[str], known: Iterable[str], where: str = "") -> None:
    """Check that every setting is known.

    Args:
        data: Names of settings.
        known: All valid names.
        where: Place of the settings, for the message: ` in `fallback[0]``.

    Raises:
        AzureMLSettingsError: For the first unknown setting. It names the most similar known one.
    """
    names = sorted(known)
    for key in data:
        if key in names:
            continue
        nearest = get_close_matches(key, names, n=1)
        hint = f"Did you mean `{nearest[0]}`?" if nearest else f"Settings: {', '.join(names)}."
        raise AzureMLSettingsError(f"Azure ML step operator settings: there is no `{key}`{where}. {hint}")


def with_aliases(name: str) -> str:
    """Return a setting's name for a message, with its aliases."""
    others = [f"`{alias}`" for alias, kept in ALIASES.items() if kept == name]
    return f"`{name}`" + (f" (or {', '.join(others)})" if others else "")
