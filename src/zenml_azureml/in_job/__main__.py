"""Prepares a job for its step, and becomes the step.

The step replaces this process, so that it gets the signals and sets the exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from importlib import import_module
from typing import Final

from zenml_azureml.contract import variables
from zenml_azureml.contract.hold import holding_command
from zenml_azureml.in_job.exceptions import BootstrapError

#: Changes the environment of the step, or raises `BootstrapError`.
Preparation = Callable[[MutableMapping[str, str]], None]

#: By the variable that requests it: the module whose `prepare` is the `Preparation`. They run in this order.
_MODULES: Final = {
    variables.VAULT_SECRET: "zenml_azureml.in_job.fetch_secrets",
    variables.RANKS: "zenml_azureml.in_job.rank_config_dir",
}

#: Exit codes, as shells have them.
_CANNOT_EXECUTE, _NOT_FOUND = 126, 127


def main(command: list[str], environment: MutableMapping[str, str]) -> int:
    """Run the preparations that the environment requests, and replace this process with a command.

    Args:
        command: The step's command, and its arguments.
        environment: Of this process; changed to what the step gets.

    Returns:
        The exit code, if the command could not be started.
    """
    if not command:
        return _tell("There is no command: write `python -m zenml_azureml.in_job COMMAND [ARGUMENT...]`.", 2)
    try:
        for variable, module in _MODULES.items():
            if environment.get(variable):
                prepare: Preparation = import_module(module).prepare
                prepare(environment)
    except BootstrapError as error:
        return _tell(str(error), 1)
    _start_watcher(environment)
    command = holding_command(command, environment)
    for variable in [name for name in environment if name.startswith(variables.PREFIX)]:
        del environment[variable]
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, dict(environment))  # noqa: S606 - no shell is wanted
    except FileNotFoundError:
        return _tell(f"There is no program `{command[0]}` in the image.", _NOT_FOUND)
    except OSError as error:
        return _tell(f"`{command[0]}` cannot be executed: {error.strerror}.", _CANNOT_EXECUTE)


def _start_watcher(environment: Mapping[str, str]) -> None:
    """Start a watcher or sampler, if the environment requests one. Never fails: a step runs without them, too."""
    if not (environment.get(variables.STOP_CHECK_SECONDS) or environment.get(variables.SAMPLING)):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        import_module("zenml_azureml.in_job.watcher.start").start(environment)
    except Exception as error:  # noqa: BLE001 - see above
        _tell(f"This job cannot check whether its step is over, or sample its use: {error!r}.", 0)


def _tell(words: str, exit_code: int) -> int:
    print(f"zenml-azureml: {words}", file=sys.stderr, flush=True)  # noqa: T201 - the job's log
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
