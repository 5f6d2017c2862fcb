"""Stands for the Python of a job that is forked from one in which ZenML is imported: see `warm_jobs.py`.

`python -I -S warm_job.py FOLDER -m MODULE ARGUMENT...`, standard library only. It passes on its streams, its
environment, its folder and each signal, ends as the fork ends, and takes it with it when it is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping

#: Variables that ZenML reads when it is imported begin with the first, and with none of the others.
_READ_WHEN_IMPORTED = "ZENML_"
_READ_WHEN_NEEDED = (
    *("ZENML_CONFIG_PATH", "ZENML_AZUREML_", "ZENML_STORE_", "ZENML_SECRETS_STORE_", "ZENML_BACKUP_SECRETS_STORE_"),
    *("ZENML_USER_ID", "ZENML_ACTIVE_STACK_ID", "ZENML_ACTIVE_PROJECT_ID", "ZENML_REPOSITORY_PATH"),
    *("ZENML_DOCKER_ORCHESTRATOR_RUN_ID", "ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"),
    "ZENML_ENABLE_IMPLICIT_AUTH_METHODS",
)
#: Those that cannot be handled, and those that this process is not to pass on.
_OWN = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE}


def early_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process that have to be there when ZenML is imported."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_WHEN_IMPORTED) and not name.startswith(_READ_WHEN_NEEDED)
    }


def main(folder: str, *arguments: str) -> None:
    """Be the job's process; with other early variables than those of the warm one, a Python of its own."""
    with open(os.path.join(folder, "warm.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123 - slow to import
        warm = json.load(file)
    if early_variables(os.environ) != warm["variables"]:
        os.execv(warm["python"], [warm["python"], *arguments])
    passed_on = signal.valid_signals() - _OWN
    signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reports:
        reports.connect(os.path.join(folder, "socket"))  # noqa: PTH118
        asked = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109
        body = json.dumps(asked).encode()
        socket.send_fds(reports, [len(body).to_bytes(4, "big")], [1, 2])
        reports.sendall(body)
        lines = reports.makefile()
        pid = int(lines.readline())
        for number in passed_on:
            try:
                signal.signal(number, lambda number, _frame: _pass_on(pid, number))
            except (OSError, ValueError):  # the C library's own
                continue
        signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
        code = int(lines.readline() or -signal.SIGKILL)
    if code >= 0:
        os._exit(code)
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)


def _pass_on(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(*sys.argv[1:])
