"""Parse commands with the real Azure CLI, and run none: a program for the Python that the CLI is installed in.

Reads a JSON list of commands, each a list of words without `az`. Prints a JSON list: `parsed`, or the CLI's complaint.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

from azure.cli.core import get_default_cli
from azure.cli.core.commands.events import EVENT_INVOKER_POST_LOAD_ARGUMENTS, EVENT_INVOKER_PRE_LOAD_ARGUMENTS


def complaint_about(cli: Any, words: list[str]) -> str:
    """What the CLI says of a command; `parsed` if it would run it. As `AzCliCommandInvoker.execute` begins."""
    invoker = cli.invocation_cls(
        cli_ctx=cli, parser_cls=cli.parser_cls, commands_loader_cls=cli.commands_loader_cls, help_cls=cli.help_cls
    )
    cli.invocation = invoker
    invoker.data["command_string"] = " ".join(words)
    loader = invoker.commands_loader
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            table = loader.load_command_table(words)
            loader.command_name = next(
                (" ".join(words[:n]) for n in range(len(words), 0, -1) if " ".join(words[:n]) in table), ""
            )
            if loader.command_name:
                loader.command_table = {loader.command_name: table[loader.command_name]}
            cli.raise_event(EVENT_INVOKER_PRE_LOAD_ARGUMENTS, commands_loader=loader)
            loader.load_arguments(loader.command_name)
            cli.raise_event(EVENT_INVOKER_POST_LOAD_ARGUMENTS, commands_loader=loader)
            invoker.parser.load_command_table(loader)
            invoker.parser.parse_args(words)
    except SystemExit:
        return said.getvalue().strip() or "refused"
    return "parsed"


if __name__ == "__main__":
    real_cli = get_default_cli()
    print(json.dumps([complaint_about(real_cli, words) for words in json.load(sys.stdin)]))
