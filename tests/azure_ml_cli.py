"""Commands of the Azure CLI's extension `ml`, parsed by the options that the extension has, without the extension.

`azure_ml_cli.json` has its commands and long options, as its public source declares them. Only Microsoft's own host has
the extension itself; `make test-azure-cli` compares the two where that is reached.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any, NoReturn

FACTS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))

#: Every command of the Azure CLI has these.
_GLOBAL = ("--output", "--query", "--subscription")
_GLOBAL_FLAGS = ("--debug", "--only-show-errors", "--verbose")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return a parser of the options of a command, such as `ml job cancel`."""
    options: dict[str, Any] = FACTS["commands"][command]
    parser = _Parser(prog=f"az {command}", add_help=False, allow_abbrev=False)
    for option in options["required"]:
        parser.add_argument(option, required=True)
    for option in (*options.get("optional", ()), *_GLOBAL):
        parser.add_argument(option)
    for option in (*options.get("flags", ()), *_GLOBAL_FLAGS):
        parser.add_argument(option, action="store_true")
    return parser


def complaint_about(command: str) -> str:
    """Return what is wrong with a command that begins with `az ml`; empty if nothing is."""
    words = shlex.split(command)[1:]
    name = next((name for name in FACTS["commands"] if words[: len(name.split())] == name.split()), None)
    if name is None:
        return "unknown command"
    try:
        parser_of(name).parse_args(words[len(name.split()) :])
    except ValueError as error:
        return str(error)
    return ""


def samples() -> list[str]:
    """Return, for each option of each command, the shortest command that has it."""
    found = []
    for name, options in FACTS["commands"].items():
        least = " ".join(f"{option} value" for option in options["required"])
        more = [
            "",
            *(f" {option} {1 if option == '--max-results' else 'value'}" for option in options.get("optional", ())),
        ]
        more += [f" {option}" for option in options.get("flags", ())]
        found += [f"az {name} {least}{option}" for option in more]
    return found
