"""Checks of a step's settings, beyond their types: names, lengths and numbers that Azure ML accepts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zenml.utils.secret_utils import is_secret_reference

from zenml_azureml import tags as tag_keys
from zenml_azureml.exceptions import AzureMLSettingsError
from zenml_azureml.settings.naming_rules import (
    NameRuleError,
    check_compute_name,
    check_experiment_name,
    check_key_vault,
    check_shm_size,
    check_variable_name,
)
from zenml_azureml.specs import limits

_NAMES: Mapping[str, Callable[[str], None]] = {
    "compute_name": check_compute_name,
    "compute_target_name": check_compute_name,
    "shm_size": check_shm_size,
    "key_vault": check_key_vault,
    "experiment_name": check_experiment_name,
}

_LENGTHS = {"display_name": limits.DISPLAY_NAME_LENGTH, "description": limits.DESCRIPTION_LENGTH}


def check_values(values: Mapping[str, Any]) -> None:
    """Check the values of settings. References to secrets are not checked, since their values are unknown.

    Args:
        values: The settings by name; those without a value are None or missing.

    Raises:
        AzureMLSettingsError: For the first value that Azure ML would refuse, with the rule.
    """
    for field, check in _NAMES.items():
        _check_name(field, values.get(field), check)
    for field, longest in _LENGTHS.items():
        _check_length(f"`{field}`", values.get(field) or "", longest)
    for name in values.get("environment_variables") or {}:
        _check_name("environment_variables", name, check_variable_name)
    most = tag_keys.MOST
    if values.get("hold_on_failure_minutes"):
        most += 1
    if values.get("max_usd") or values.get("max_usd_per_run"):
        most += len(tag_keys.OF_COST)
    _check_tags(values.get("tags") or {}, most)


def _check_name(field: str, value: str | None, check: Callable[[str], None]) -> None:
    if value is None or is_secret_reference(value):
        return
    try:
        check(value)
    except NameRuleError as error:
        raise AzureMLSettingsError(f"`{field}={value!r}`: {error}") from error


def _check_length(what: str, text: str, longest: int) -> None:
    if len(text) > longest and not is_secret_reference(text):
        raise AzureMLSettingsError(
            f"{what} has {len(text)} characters, and Azure ML accepts at most {longest}.", hint="Shorten it."
        )


def _check_tags(tags: Mapping[str, str], most: int) -> None:
    own = {key for key in tags if key not in tag_keys.RESERVED}
    if len(own) > limits.TAGS - most:
        raise AzureMLSettingsError(
            f"`tags` has {len(own)} tags. Azure ML accepts {limits.TAGS} for each job, of which this step operator "
            f"needs up to {most}, so {limits.TAGS - most} are left.",
            hint="Remove some of them.",
        )
    for key, value in tags.items():
        if not key:
            raise AzureMLSettingsError("`tags` has a tag without a key.", hint="Give it a key, or remove it.")
        _check_length(f"The key of the tag `{limits.shortened(key, 40)}`", key, limits.TAG_KEY_LENGTH)
        _check_length(f"The value of the tag `{key}`", value, limits.TAG_VALUE_LENGTH)
