"""Redaction of values and texts, by the rule of `rule.py`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from zenml_azureml.secrets.docker_arguments import Argument, DockerArgumentsError, as_line, joined, parse
from zenml_azureml.secrets.names import says_secret
from zenml_azureml.secrets.rule import Verdict, judge
from zenml_azureml.secrets.shapes import secrets_in

T = TypeVar("T")

#: Replacement for a value that is not shown.
REDACTED = "REDACTED"

#: Shortest value that is searched for in other texts; shorter values occur by chance.
SHORTEST = 6


def shown(name: str, value: str) -> str:
    """Return the value of a variable, or `REDACTED`.

    Args:
        name: Name of the variable.
        value: Its value.
    """
    return value if judge(name, value) is Verdict.HARMLESS else REDACTED


def redacted_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables with redacted values.

    Args:
        variables: Their values by name.
    """
    return {redacted_text(name): shown(name, value) for name, value in variables.items()}


def redacted_text(text: str) -> str:
    """Return a text with parts redacted that certainly are secrets, by their shape.

    Args:
        text: The text, e.g. a message or a description.
    """
    parts, end = [], 0
    for begin, after in secrets_in(text):
        parts += [text[end:begin], REDACTED]
        end = after
    return "".join([*parts, text[end:]]) if parts else text


def without(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with the values of secret variables redacted.

    Args:
        text: The text, e.g. a command.
        variables: Values by name.
    """
    secrets = {value for name, value in variables.items() if shown(name, value) == REDACTED}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, REDACTED)
    return text


def redacted_docker_args(arguments: str) -> str:
    """Return arguments of `docker run` with redacted values.

    Args:
        arguments: The arguments as a command line.
    """
    try:
        found = parse(arguments)
    except DockerArgumentsError:
        return REDACTED
    return redacted_text(joined([Argument(argument.shown(_shown_of(argument))) for argument in found]))


def redacted_setting(name: str, value: Any) -> Any:
    """Return the redacted value of a setting, for a `repr`.

    Args:
        name: Name of the setting, or of the dictionary that contains the value.
        value: Any value that settings can hold.
    """
    if name == "docker_args" and value is not None:
        return redacted_docker_args(as_line(value))
    if name in ("environment_variables", "docker_variables") and isinstance(value, Mapping):
        return redacted_variables({str(key): str(text) for key, text in value.items()})
    if isinstance(value, Mapping):
        return {redacted_text(str(key)): _redacted_entry(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(redacted_setting("", item) for item in value)
    return redacted_text(value) if type(value) is str else value


def map_texts(
    value: T, change: Callable[[str, str], str], path: str = "", *, change_name: Callable[[str], str] = str
) -> T:
    """Return a value with all texts in it changed, at any depth of dictionaries, lists, tuples and dataclasses.

    Args:
        value: The value; unchanged.
        change: Returns the new text, given its path, such as `services['look'].log_dir`, and the text.
        path: Path of the value.
        change_name: Returns the new key of a dictionary; by default, keys stay unchanged.
    """
    given: Any = value
    result: Any = given
    if type(given) is str:
        result = change(path, given)
    elif isinstance(given, Mapping):
        result = {
            change_name(key): map_texts(item, change, f"{path}[{key!r}]", change_name=change_name)
            for key, item in given.items()
        }
    elif isinstance(given, (list, tuple)):
        result = type(given)(
            map_texts(item, change, f"{path}[{index}]", change_name=change_name) for index, item in enumerate(given)
        )
    elif is_dataclass(given) and not isinstance(given, type):
        dot = f"{path}." if path else ""
        changed = {
            one.name: map_texts(getattr(given, one.name), change, dot + one.name, change_name=change_name)
            for one in fields(given)
        }
        result = replace(given, **changed)
    return cast("T", result)


def _redacted_entry(name: str, value: Any) -> Any:
    if isinstance(value, str) and judge(name, value) is Verdict.SECRET:
        return redacted_text(value) if not says_secret(name) else REDACTED
    return redacted_setting(name, value)


def _shown_of(argument: Argument) -> str:
    """Return the redacted value of an argument: free text by the strict rule, other values by their shape."""
    if argument.is_of_user and not argument.is_file:
        return shown(argument.name, argument.text)
    if judge(argument.name, argument.text) is Verdict.SECRET:
        return REDACTED
    return redacted_text(argument.text)
