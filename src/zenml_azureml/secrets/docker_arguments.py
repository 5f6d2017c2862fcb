"""The setting `docker_args`, options of `docker run`, taken apart: which of them carry values, and which. Pure.

Source of the options: `docker run --help` of Docker 27, and pflag's rules for what is written together.
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
#: Options of which every value that is not sure to be harmless may be a secret, or a file of them.
_OF_USERS: Final = frozenset({"env", "label", "build-arg", "annotation", "secret", "env-file", "label-file", "log-opt"})
#: Of these, files on the machine that the job runs on: what is in them cannot be seen from here.
_FILES: Final = frozenset({"env-file", "label-file"})

_REFERENCE: Final = re.compile(r"\{\{\s*([^\s{}]+?\.[^\s{}]+)\s*\}\}")


class DockerArgumentsError(ValueError):
    """Arguments that no shell can read; the message is the reason."""


@dataclass(frozen=True)
class Argument:
    """One option with what belongs to it, or a word that belongs to none.

    Attributes:
        words: As they are written.
        option: Its long name without hyphens; empty for a word that is no option.
        value: Its value; None if it has none.
    """

    words: tuple[str, ...]
    option: str = ""
    value: str | None = None

    @property
    def name(self) -> str:
        """`NAME` of a value that is `NAME=VALUE`; else the option itself."""
        if self.option in PAIRS and self.value is not None:
            return self.value.partition("=")[0]
        return self.option

    @property
    def text(self) -> str:
        """What the value says: `VALUE` of `NAME=VALUE`, the word itself if it is no option."""
        if not self.option:
            return self.words[0]
        if self.option in PAIRS:
            return (self.value or "").partition("=")[2]
        return self.value or ""

    @property
    def label(self) -> str:
        """The option as a message names it, without its value: `--env NAME`."""
        if not self.option:
            return "a word that is no option"
        hyphens = "-" if self.words[0][:2] != "--" and len(self.option) == 1 else "--"
        return f"{hyphens}{self.option} {self.name}" if self.option in PAIRS else f"{hyphens}{self.option}"

    @property
    def is_variable(self) -> bool:
        """True if it sets an environment variable to a value that stands here."""
        return self.option == "env" and "=" in (self.value or "")

    @property
    def is_of_user(self) -> bool:
        """True if the value is free text of the user, or a file of it."""
        return self.option in _OF_USERS

    @property
    def is_file(self) -> bool:
        """True if the value names a file that holds the values."""
        return self.option in _FILES

    def without_value(self) -> Argument:
        """Return what is left without this option: the switches that are written together with it, as in `-ite A=b`."""
        word = self.words[0]
        if word.startswith("--"):
            return Argument(())
        switches = "".join(takewhile(lambda letter: letter not in _SHORT_WITH_VALUE, word[1:]))
        return Argument((f"-{switches}",) if switches else ())

    def shown(self, text: str) -> tuple[str, ...]:
        """Return the words with another text in the place of `text`."""
        if not self.text or text == self.text:
            return self.words
        last = self.words[-1]
        return (*self.words[:-1], last[: len(last) - len(self.text)] + text)


def parse(arguments: str) -> list[Argument]:
    """Take arguments apart.

    Args:
        arguments: As a shell would read them.

    Raises:
        DockerArgumentsError: If no shell can.
    """
    try:
        # References to secrets may have spaces, which are none between words.
        words = shlex.split(_REFERENCE.sub(r"{{\1}}", arguments))
    except ValueError as error:
        raise DockerArgumentsError(str(error).rstrip(".").lower()) from None
    return list(_parsed(words))


def as_line(arguments: str | Sequence[str]) -> str:
    """Return arguments, which may be a list of one word each, as a shell would read them."""
    return arguments if isinstance(arguments, str) else shlex.join(arguments)


def joined(arguments: Sequence[Argument]) -> str:
    """Return arguments as a shell would read them."""
    return shlex.join(word for argument in arguments for word in argument.words)


def without_variables(arguments: str) -> tuple[str, dict[str, str]]:
    """Take the environment variables out of arguments.

    Args:
        arguments: As a shell would read them.

    Returns:
        The other arguments, unchanged if there are no variables; and the variables, of which the last of a name counts.
        Without a value, `-e NAME` hands on a variable of the machine, and stays.

    Raises:
        DockerArgumentsError: If no shell can read them.
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
    """Options of one letter: `-e A=b`, `-eA=b`, `-e=A=b`, and with switches before them: `-ite A=b`."""
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
