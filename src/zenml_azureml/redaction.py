"""What may be shown of what a job is sent. Pure, and strict: what is not sure to be harmless is not shown.

Nobody says which environment variables hold secrets, so it is the other way round: a value is shown if its name does
not speak of a secret and it has the form of something that none is: a number, a plain word, a path, an address.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

#: What stands in the place of a value that is not shown.
REDACTED = "REDACTED"

#: Values shorter than this are not looked for in other texts: they would be found everywhere.
_SHORTEST = 6

_SPEAKS_OF_SECRETS = re.compile(
    r"TOKEN|SECRET|PASSW|PWD|CREDENTIAL|CONN(ECTION)?_?STR|SIGNATURE|PRIVATE|CERT|COOKIE|(^|_)(KEY|APIKEY|AUTH|SAS|PAT|DSN)S?($|_)"
    r"|KEY$",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"""
    [+-]?\d{1,12}(\.\d{1,6}){0,3}         # a number or a version
    | [A-Za-z][a-z]{0,24}([ ,._-][A-Za-z][a-z]{0,24}){0,4} | [A-Z_]{1,24}   # plain words
    | \.{0,2}/[\w./-]{0,200}              # a path
    | (https?|sqlite)://[\w.:-]*(/[\w./~-]*)?   # an address without user, password or query
    """,
    re.VERBOSE,
)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def shown(name: str, value: str) -> str:
    """The value of a variable, or that it is not shown.

    Args:
        name: Name of the variable.
        value: Its value.
    """
    if value in ("", "True", "False", "true", "false") or (
        name.startswith("ZENML_") and name.endswith("_ID") and _ID.fullmatch(value)
    ):
        return value
    if speaks_of_secrets(name) or not _HARMLESS.fullmatch(value):
        return REDACTED
    return value


def speaks_of_secrets(name: str) -> bool:
    """Whether the name of a variable says that its value is a secret."""
    return _SPEAKS_OF_SECRETS.search(name) is not None


def redacted_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables with what may be shown of them.

    Args:
        variables: Their values by name.
    """
    return {name: shown(name, value) for name, value in variables.items()}


def without(text: str, variables: Mapping[str, str]) -> str:
    """A text without the values of the variables that are not shown.

    Args:
        text: E.g. a command.
        variables: Values by name.
    """
    secrets = {value for name, value in variables.items() if shown(name, value) == REDACTED}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, REDACTED)
    return text


def redacted_docker_args(arguments: str) -> str:
    """Arguments of `docker run` without what they set environment variables to.

    Args:
        arguments: As a shell would read them.
    """
    try:
        words = shlex.split(arguments)
    except ValueError:
        return REDACTED
    told, sets_variable = [], False
    for word in words:
        prefix = next((option for option in ("--env=", "-e=") if word.startswith(option)), "")
        if sets_variable or prefix:
            name, equals, value = word[len(prefix) :].partition("=")
            told.append(f"{prefix}{name}{equals}{shown(name, value)}")
        elif re.match(r"-e[^-]\w*=", word):
            name, _, value = word[2:].partition("=")
            told.append(f"-e{name}={shown(name, value)}")
        else:
            told.append(word)
        sets_variable = word in ("-e", "--env")
    return shlex.join(told)
