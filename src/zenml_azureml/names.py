"""The rules that Azure ML has for names, which the SDK does not check. Pure.

Source of the rules: measured at the service; the client checks none of them.
"""

from __future__ import annotations

import re

_COMPUTE = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-[0-9]+$)[a-zA-Z0-9-]{2,23}")
_SHM_SIZE = re.compile(r"[0-9]+[bBkKmMgG]")


class NameRuleError(ValueError):
    """A name that Azure ML refuses; the message is the rule."""


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


def check_shm_size(size: str) -> None:
    """Check a size of shared memory.

    Raises:
        NameRuleError: If Azure ML refuses it.
    """
    if not _SHM_SIZE.fullmatch(size):
        raise NameRuleError("a size of shared memory is a whole number and one of the units b, k, m, g, e.g. `2g`.")
