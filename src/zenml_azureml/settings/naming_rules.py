"""Azure ML's rules for names, which the SDK does not check. Pure.

Source of the rules: measured at the service; the client checks none of them.
"""

from __future__ import annotations

import re

_COMPUTE = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-[0-9]+$)[a-zA-Z0-9-]{2,23}")
#: Name, ARM id, or a URL of nothing but a host.
_KEY_VAULT = re.compile(
    r"[a-z](?!.*--)[a-z0-9-]{1,22}[a-z0-9]|/subscriptions/[^/]+/.+/vaults/[^/]+|https://[^/?#@]+/?", re.IGNORECASE
)
_SHM_SIZE = re.compile(r"[0-9]+[bBkKmMgG]")


class NameRuleError(ValueError):
    """Error for a name that Azure ML refuses; the message is the rule."""


def check_compute_name(name: str) -> None:
    """Check the name of a compute instance or cluster.

    Raises:
        NameRuleError: If Azure ML refuses it.
    """
    if not _COMPUTE.fullmatch(name):
        raise NameRuleError(
            "a compute's name has 3 to 24 letters, digits and hyphens, begins with a letter, and does not end in a "
            "hyphen and a number (`ci-1`)."
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
