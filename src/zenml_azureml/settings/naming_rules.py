"""Rules for the names and sizes in settings, which the Azure SDK does not check. Pure."""

from __future__ import annotations

import re

from zenml_azureml.specs.limits import EXPERIMENT_NAME_LENGTH, is_compute_name, is_experiment_name

#: The SDK's prefix of a reference to a compute, and the end of a compute's ARM id.
_PREFIX = re.compile(r"azureml:", re.IGNORECASE)
_ARM_ID = re.compile(r"/?subscriptions/.+/(?:computes|virtualclusters)/(?P<name>[^/]+)/?", re.IGNORECASE)

#: Name, ARM id, or a URL of nothing but a host.
_KEY_VAULT = re.compile(
    r"[a-z](?!.*--)[a-z0-9-]{1,22}[a-z0-9]|/subscriptions/[^/]+/.+/vaults/[^/]+|https://[^/?#@]+/?", re.IGNORECASE
)
_SHM_SIZE = re.compile(r"[0-9]+[bBkKmMgG]")

#: Names of environment variables that a shell, Docker and Kubernetes pass on.
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]*")


class NameRuleError(ValueError):
    """Error for a name that Azure ML refuses; the message is the rule."""


def bare_compute_name(reference: str) -> str:
    """Return the name in a reference to a compute: `gpus` for `azureml:gpus`.

    Args:
        reference: A name, with or without the SDK's prefix.
    """
    return _PREFIX.sub("", reference, count=1) if _PREFIX.match(reference) else reference


def check_compute_name(name: str) -> None:
    """Check the name of a compute, which may exist: only the names of new ones follow stricter rules.

    Args:
        name: The name, without a prefix.

    Raises:
        NameRuleError: If no compute has such a name.
    """
    if arm_id := _ARM_ID.fullmatch(name):
        raise NameRuleError(
            f"write the name alone: `{arm_id['name']}`. The subscription, resource group and workspace are those of "
            "the step operator."
        )
    if not is_compute_name(name):
        raise NameRuleError("a compute's name has at least two letters, digits, hyphens and underscores.")


def check_experiment_name(name: str) -> None:
    """Check the name of an experiment.

    Raises:
        NameRuleError: If Azure ML refuses it.
    """
    if not is_experiment_name(name):
        raise NameRuleError(
            f"an experiment's name has 1 to {EXPERIMENT_NAME_LENGTH} letters, digits, hyphens and underscores, and "
            "begins with a letter or digit."
        )


def check_variable_name(name: str) -> None:
    """Check the name of an environment variable.

    Raises:
        NameRuleError: If a container cannot have it.
    """
    if not _VARIABLE.fullmatch(name):
        raise NameRuleError(
            "the name of an environment variable has letters, digits, underscores, dots and hyphens, and begins with "
            "a letter or an underscore."
        )


def check_key_vault(vault: str) -> None:
    """Check the name, URL or ARM id of a key vault. Source of the rule: Microsoft's "Naming rules" for `vaults`.

    Raises:
        NameRuleError: If it cannot be a key vault.
    """
    if not _KEY_VAULT.fullmatch(vault):
        raise NameRuleError(
            "a key vault is given by its name (3 to 24 letters, digits and single hyphens, beginning with a letter), "
            "by its URL, e.g. `https://team.vault.azure.net`, or by its ARM id."
        )


def check_shm_size(size: str) -> None:
    """Check the size of shared memory.

    Raises:
        NameRuleError: If Azure ML refuses it.
    """
    if not _SHM_SIZE.fullmatch(size):
        raise NameRuleError("a size of shared memory is a whole number with a unit (b, k, m or g), e.g. `2g`.")
