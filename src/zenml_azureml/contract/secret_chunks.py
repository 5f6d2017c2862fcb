"""How environment variables are kept in the secrets of a key vault: what both sides have to agree on. Pure.

They are one JSON object, `{"NAME": "value"}`. A secret holds 25 KB at the most (Microsoft's "About Azure Key Vault
secrets"), so a longer object is cut: the first part is in the secret that the job is told of, whose tag says how many
parts there are; the others are in secrets of the same name with a number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

#: The version of the vault's interface that both sides speak.
API_VERSION: Final = "7.4"

#: Key of the tag of the first part that says how many there are.
PARTS_TAG: Final = "zenml_parts"

#: ASCII characters of one part. Some below the limit, of which nobody says whether a KB is 1000 or 1024 of them.
PART_SIZE: Final = 24_000


def parts_of(variables: Mapping[str, str]) -> list[str]:
    """What is put into the secrets, the first part first.

    Args:
        variables: Values by name.
    """
    # ASCII, so that characters are bytes; sorted, so that the same gives the same.
    text = json.dumps(dict(variables), sort_keys=True, separators=(",", ":"))
    return [text[begin : begin + PART_SIZE] for begin in range(0, len(text), PART_SIZE)]


def variables_in(parts: Sequence[str]) -> dict[str, str]:
    """The variables again.

    Raises:
        ValueError: If the parts do not hold any.
    """
    found = json.loads("".join(parts))
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("no JSON object of strings")
    return found


#: More than any set of environment variables needs.
MOST_PARTS = 1_000


def further_parts(name: str, tags: Mapping[str, str]) -> list[str]:
    """Names, or URLs, of the further parts.

    Args:
        name: Name or URL of the first.
        tags: Its tags.
    """
    number = tags.get(PARTS_TAG, "1")
    if number.isdecimal() and int(number) > MOST_PARTS:
        raise ValueError(f"a secret has at most {MOST_PARTS} parts, and its tag says {number}")
    return [f"{name}-part{index}" for index in range(2, int(number) + 1)] if number.isdecimal() else []
