"""A parser for the setting `docker_args`, the options of `docker run` with their values. Pure.

Source of the options: `docker run --help` of Docker 27, and pflag's rules for options that are written together.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

#: Options of one letter that take a value; all other letters are switches.
_SHORT_WITH_VALUE: Final = frozenset("acehlmpuvw")
_LONG_SWITCHES: Final = frozenset(
    {
        *("detach", "disable-content-trust", "help", "init", "interactive", "no-healthcheck", "oom-kill-disable"),
        *("privileged", "publish-all", "quiet", "read-only", "rm", "sig-proxy", "tty", "use-api-socket"),
    }
)
_LONG_NAMES: Final = {
    **{"e": "env", "l": "label", "h": "hostname", "u": "user", "v": "volume", "w": "workdir", "m": "memory"},
    **{"a": "attach", "c": "cpu-shares", "p": "publish"},
}

#: Options whose values are `NAME=VALUE`.
PAIRS: Final = frozenset({"env", "label", "build-arg", "annotation", "sysctl", "log-opt", "storage-opt", "driver-opt"})
#: Options whose values may be secrets, or files of secrets, unless they are certainly harmless.
_OF_USERS: Final = frozenset({"env", "label", "build-arg", "annotation", "secret", "env-file", "label-file", "log-opt"})
#: Of these, options with files on the machine that runs the job, whose content is unknown here.
_FILES: Final = frozenset({"env-file", "label-file"})

_REFERENCE: Final = re.compile(r"\{\{\s*([^\s{}]+?\.[^\s{}]+)\s*\}\}")


class DockerArgumentsError(ValueError):
    """Error for arguments that are not a valid command line; the message is the reason."""


@dataclass(frozen=True)
class Argument:
    """One option with its value, or a word without an option.

    Attributes:
        words: The words as written.
        option: Long name of the option without hyphens; empty for a word without an option.
        value: Value of the option; None if it has none.
    """

    words: tuple[str, ...]
    option: str = ""
    value: str | None = None

    @property
    def name(self) -> str:
        """`NAME` of a value `NAME=VALUE`; otherwise the option itself."""
        if self.option in PAIRS and self.value is not None:
            return self.value.partition("=")[0]
        return self.option

    @property
    def text(self) -> str:
        """The content of the value: `VALUE` of `NAME=VALUE`, or the word itself if it is not an option."""
        if not self.option:
            return self.words[0]
        if self.option in PAIRS:
            return (self.value or "").partition("=")[2]
        return self.value or ""

    @property
    def label(self) -> str:
        """The option without its value, for a message: `--env NAME`."""
        if not self.option:
            return "a word that is no option"
        hyphens = "-" if self.words[0][:2] != "--" and len(self.option) == 1 else "--"
        return f"{hyphens}{self.option} {self.name}" if self.option in PAIRS else f"{hyphens}{self.option}"

    @property
    def is_variable(self) -> bool:
        """True if it sets an environment variable to a value."""
        return self.option == "env" and "=" in (self.value or "")

    @property
    def is_of_user(self) -> bool:
        """True if the value is free text of the user, or a file with such text."""
        return self.option in _OF_USERS

    @property
    def is_file(self) -> bool:
        """True if the value names a file that holds the values."""
        return self.option in _FILES

    def without_value(self) -> Argument:
        """Return the rest without this option: the switches that are written together with it, as in `-ite A=b`."""
        word = self.words[0]
        if word.startswith("--"):
            return Argument(())
        switches = "".join(takewhile(lambda letter: letter not in _SHORT_WITH_VALUE, word[1:]))
        return Argument((f"-{switches}",) if switches else ())

    def shown(self, text: str) -> tuple[str, ...]:
        """Return the words with `text` replaced by another text."""
        if not self.text or text == self.text:
            return self.words
        last = self.words[-1]
        return (*self.words[:-1], last[: len(last) - len(self.text)] + text)


def parse(arguments: str) -> list[Argument]:
    """Parse arguments.

    Args:
        arguments: The arguments as a command line.

    Raises:
        DockerArgumentsError: If they are not a valid command line.
    """
    try:
        # Spaces in references to secrets do not separate words.
        words = shlex.split(_REFERENCE.sub(r"{{\1}}", arguments))
    except ValueError as error:
        raise DockerArgumentsError(str(error).rstrip(".").lower()) from None
    return list(_parsed(words))


def as_line(arguments: str | Sequence[str]) -> str:
    """Return arguments, which may be a list of words, as a command line."""
    return arguments if isinstance(arguments, str) else shlex.join(arguments)


def joined(arguments: Sequence[Argument]) -> str:
    """Return arguments as a command line."""
    return shlex.join(word for argument in arguments for word in argument.words)


def without_variables(arguments: str) -> tuple[str, dict[str, str]]:
    """Separate the environment variables from the other arguments.

    Args:
        arguments: The arguments as a command line.

    Returns:
        The other arguments, unchanged if there are no variables; and the variables. If a name occurs twice, the last
        value counts. An option without a value, `-e NAME`, passes a variable of the machine, and stays.

    Raises:
        DockerArgumentsError: If they are not a valid command line.
    """
    found = parse(arguments)
    variables = {argument.name: argument.text for argument in found if argument.is_variable}
    if not variables:
        return arguments, {}
    kept = [argument.without_value() if argument.is_variable else argument for argument in found]
    return joined(kept), variables


def _parsed(words: Sequence[str]) -> Iterator[Argument]:
    position = 0
    while position < len(words):
        word = words[position]
        following = words[position + 1] if position + 1 < len(words) else None
        if word == "--" or not word.startswith("-") or word == "-":
            argument = Argument((word,))
        elif word.startswith("--"):
            argument = _long(word, following)
        else:
            argument = _short(word, following)
        yield argument
        position += len(argument.words)


def _long(word: str, following: str | None) -> Argument:
    name, equals, value = word[2:].partition("=")
    if equals:
        return Argument((word,), name, value)
    if name in _LONG_SWITCHES or following is None:
        return Argument((word,), name)
    return Argument((word, following), name, following)


def _short(word: str, following: str | None) -> Argument:
    """Parse an option of one letter: `-e A=b`, `-eA=b`, `-e=A=b`, and with switches before it: `-ite A=b`."""
    for index, letter in enumerate(word[1:], start=1):
        if letter not in _SHORT_WITH_VALUE:
            continue
        name, rest = _LONG_NAMES.get(letter, letter), word[index + 1 :]
        if rest:
            return Argument((word,), name, rest.removeprefix("="))
        if following is not None:
            return Argument((word, following), name, following)
        return Argument((word,), name)
    return Argument((word,), word[1:])
