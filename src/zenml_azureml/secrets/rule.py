"""The rule that classifies values as secrets, for key vaults, previews, `repr`, logs and errors. Pure.

No setting marks values as secrets, so the rule errs on the side of safety. A value is harmless if its name does not
indicate a secret, if it does not have the shape of one, and if it has a harmless form: a number, plain words, a file,
or a URL without user, query or random parts. A value with the name or the shape of a secret certainly is one. All
other values may be secrets.

`names.py` has the names, `shapes.py` and `addresses.py` have the shapes, `randomness.py` detects random text.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from zenml_azureml.secrets import names
from zenml_azureml.secrets.addresses import has_doubtful_path
from zenml_azureml.secrets.randomness import has_random_part, is_uuid
from zenml_azureml.secrets.shapes import secrets_in

#: Longest text that counts as a number, a size or a list.
_LONGEST_NUMBER: Final = 15
_SWITCHES: Final = frozenset({"", "True", "False", "true", "false"})
_REFERENCE: Final = re.compile(r"\{\{\s*\S+?\.\S+\s*\}\}")
_NUMBER: Final = re.compile(
    r"[+-]?\d{1,12}(\.\d{1,6}){0,3}(e[+-]?\d{1,3})?([kKmMgGtT]i?[bB]?|[bsmhd]|ms|%)?"  # a number, a version or a size
    r"|\d{1,4}([,:;x-]\d{1,4}){1,5}"  # a list, a range
    r"|\d{4}-\d\d-\d\d"
)
_WORDS: Final = re.compile(
    r"[A-Za-z][a-z]{0,24}([ ,._-][A-Za-z][a-z]{0,24}){0,4}|[A-Z_]{1,24}"  # plain words
    r"|[a-z]{2}_[A-Z]{2}(\.UTF-8|\.utf8)?|C\.UTF-8|(cuda|cpu|gpu|mps):\d"  # a locale, a device
)
#: Format of app passwords of mail providers: four groups of four letters.
_GROUPS_OF_FOUR: Final = re.compile(r"[a-z]{4}([ -][a-z]{4}){3}")
_PATH: Final = re.compile(r"(~|\.{0,2})/[\w./-]{0,200}")
_ADDRESS: Final = re.compile(r"(https?|sqlite)://[\w.:-]*(/[\w./~-]*)?")


class Verdict(IntEnum):
    """The classification of a value."""

    HARMLESS = 0
    DOUBTFUL = 1
    SECRET = 2


def judge(name: str, value: str) -> Verdict:
    """Classify a value by its name and its shape.

    Args:
        name: Name of the variable, tag, parameter or field; empty if it has none.
        value: Its value.
    """
    if value in _SWITCHES or name.startswith("ZENML_AZUREML_JOB_"):
        return Verdict.HARMLESS
    if secrets_in(value):
        return Verdict.SECRET
    if _is_harmless_by_name(name, value):
        return Verdict.HARMLESS
    if names.says_secret(name):
        return Verdict.SECRET
    return Verdict.HARMLESS if looks_harmless(value) else Verdict.DOUBTFUL


def is_certain(text: str) -> bool:
    """True if a text certainly holds a secret, by its shape alone."""
    return bool(secrets_in(text))


def looks_harmless(value: str) -> bool:
    """True if a value has a harmless form, whatever its name is."""
    if value in _SWITCHES or (len(value) <= _LONGEST_NUMBER and _NUMBER.fullmatch(value)):
        return True
    if _WORDS.fullmatch(value):
        return not (_GROUPS_OF_FOUR.fullmatch(value) or has_random_part(value))
    if _PATH.fullmatch(value):
        return not _has_made_up_part(value)
    return bool(_ADDRESS.fullmatch(value)) and not has_doubtful_path(value) and not secrets_in(value)


def is_reference(value: object) -> bool:
    """True if a value is a reference to a ZenML secret, `{{secret.key}}`, and nothing else."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def _is_harmless_by_name(name: str, value: str) -> bool:
    if names.may_be_paths(name, value):
        return _are_paths(value)
    known = names.is_harmless(name) or names.is_of_harmless_family(name)
    return known and not is_reference(value) and not _is_made_up(value)


def _are_paths(value: str) -> bool:
    parts = value.split(":")
    return all(re.fullmatch(r"[\w./~ +@${}-]*", part) and not _has_made_up_part(part) for part in parts)


def _is_made_up(value: str) -> bool:
    if "://" in value:
        return has_doubtful_path(value)
    return has_random_part(value)


def _has_made_up_part(path: str) -> bool:
    return any(has_random_part(segment) or is_uuid(segment) for segment in path.split("/"))
