"""Format of environment variables in the secrets of a key vault, for the job and its client. Pure.

They are one JSON object, `{"NAME": "value"}`. A secret holds at most 25 KB (Microsoft's "About Azure Key Vault
secrets"), so a longer object is split. The first part is in the secret whose address the job gets; its tag has the
number of parts. The others are in secrets of the same name with a number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

#: The API version of the vault that both sides use.
API_VERSION: Final = "7.4"

#: Key of the tag of the first part with the number of parts.
PARTS_TAG: Final = "zenml_parts"

#: ASCII characters of one part. It is below the limit, because Microsoft does not say if a KB is 1000 or 1024 bytes.
PART_SIZE: Final = 24_000


def parts_of(variables: Mapping[str, str]) -> list[str]:
    """Return the values of the secrets, the first part first.

    Args:
        variables: Values by name.
    """
    # ASCII, so that characters are bytes; sorted, so that equal variables give equal parts.
    text = json.dumps(dict(variables), sort_keys=True, separators=(",", ":"))
    return [text[begin : begin + PART_SIZE] for begin in range(0, len(text), PART_SIZE)]


def variables_in(parts: Sequence[str]) -> dict[str, str]:
    """Return the variables from the parts.

    Raises:
        ValueError: If the parts do not contain variables.
    """
    found = json.loads("".join(parts))
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("not a JSON object of strings")
    return found


#: More than any set of environment variables needs.
MOST_PARTS = 1_000


def further_parts(name: str, tags: Mapping[str, str]) -> list[str]:
    """Return the names, or URLs, of the further parts.

    Args:
        name: Name or URL of the first.
        tags: Its tags.

    Raises:
        ValueError: If they name too many parts.
    """
    number = str(tags.get(PARTS_TAG, "1"))  # what comes from a vault need not be a text
    if number.isdecimal() and int(number) > MOST_PARTS:
        raise ValueError(f"a secret has at most {MOST_PARTS} parts, and its tag says {number}")
    return [f"{name}-part{index}" for index in range(2, int(number) + 1)] if number.isdecimal() else []
