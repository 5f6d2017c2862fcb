"""The names that a setting has had: in ZenML's documentation, in its built-in operator, in the Azure ML SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from zenml_azureml.exceptions import AzureMLSettingsError

#: Other spellings of a setting, each with the name it is kept under: the one of ZenML's built-in operator.
ALIASES: dict[str, str] = {
    "compute_size": "size",
    "idle_type_before_shutdown_minutes": "idle_time_before_shutdown_minutes",
    "idle_time_before_scale_down": "idle_time_before_scaledown_down",
}


def canonicalize(data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under the one name that each is kept under.

    Args:
        data: Settings by any of their names.

    Returns:
        The same settings; none of the keys of `ALIASES` is among them.

    Raises:
        AzureMLSettingsError: If two spellings of a setting have different values.
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
    """Make sure that every setting is one.

    Args:
        data: The names that were written.
        known: The names that there are.
        where: Where among the settings they were written, for the message: ` in `fallback[0]``.

    Raises:
        AzureMLSettingsError: For the first that is not known, with the nearest that is.
    """
    names = sorted(known)
    for key in data:
        if key in names:
            continue
        nearest = get_close_matches(key, names, n=1)
        hint = f"Did you mean `{nearest[0]}`?" if nearest else f"Settings: {', '.join(names)}."
        raise AzureMLSettingsError(f"Azure ML step operator settings: there is no `{key}`{where}. {hint}")


def with_aliases(name: str) -> str:
    """A setting's name for a message, with the other names it may have been given by."""
    others = [f"`{alias}`" for alias, kept in ALIASES.items() if kept == name]
    return f"`{name}`" + (f" (or {', '.join(others)})" if others else "")
