"""The user's own `ssh`, at the end of a tunnel to a job."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

#: Hands a connection to the tunnel to ssh.
_CONNECT = Path(__file__).with_name("ssh_connect.py")

# Guess: that the container's user has this name. Source: Microsoft's own client logs in as that one
# (https://github.com/Azure/azure-dev/pull/7964, job_connect_ssh.go).
# `make live`: test_a_job_with_services_that_keeps_its_container_until_it_is_cancelled.
_USER = "azureuser"

#: Options that are for this connection only, whatever the user has configured for all hosts. The key of the server is
#: published nowhere, and each job has another one: TLS and the token of the tunnel identify the host. So nothing that a
#: false host could use is sent there: no password, no agent.
_OPTIONS = (
    "ProxyUseFdpass=yes",
    "StrictHostKeyChecking=no",
    f"UserKnownHostsFile={os.devnull}",
    f"GlobalKnownHostsFile={os.devnull}",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "ForwardAgent=no",
    "ClearAllForwardings=yes",
    "ControlMaster=no",
    "ControlPath=none",
    "RemoteCommand=none",
    "ServerAliveInterval=30",
    "LogLevel=ERROR",
)

#: Runs its arguments, or a shell, with the variables and the folder of the step's process, which a held job has named
#: in a file (`in_job/rerun.py`); without that file, with those of the session. Builtins alone read the variables, which
#: may hold secrets: no command line has them.
# Guess: that a session on Azure may read these of the step's process. Otherwise it has the folder and the variables of
# Azure's SSH server.
# `make live`: test_a_job_with_services_that_keeps_its_container_until_it_is_cancelled.
_ENTER = r"""
for call in "${TMPDIR:-/tmp}"/zenml-azureml-held-*/call.json; do
    [ -O "$call" ] || continue
    process=$(sed -n 's/.*"process": *\([0-9][0-9]*\).*/\1/p' "$call")
    cd -P "/proc/$process/cwd" 2>/dev/null || continue
    # A process that was forked shows the variables of another one.
    grep -qz "^AZUREML_RUN_ID=" "/proc/$process/environ" || break
    while IFS= read -r -d "" variable; do
        case $variable in
            TERM=* | SSH_*) ;;
            *) export "$variable" 2>/dev/null ;;
        esac
    done <"/proc/$process/environ"
    break
done
unset call process variable
[ $# -gt 0 ] || set -- bash
exec "$@"
"""


def remote_command(command: Sequence[str]) -> str:
    """Return the line for the shell on a node that runs a command where the step runs.

    Args:
        command: The command with its arguments as they are; empty for a shell.
    """
    return f"exec {shlex.join(['bash', '-c', _ENTER, 'jobs-shell', *command])}"


def ssh_command(
    program: str, tunnel: Path, job: str, command: Sequence[str], *, identity: Path | None, terminal: bool
) -> list[str]:
    """Return the command line of ssh.

    Args:
        program: The program.
        tunnel: The socket that leads to the node.
        job: Name of the job, for ssh's messages.
        command: The command to run there, with its arguments as they are; empty for a shell.
        identity: Private key to log in with; None for those that ssh uses.
        terminal: True if the command has a terminal here, and so gets one there.
    """
    # ssh gives it to the user's shell, and replaces what begins with `%`.
    proxy = shlex.join([sys.executable, "-I", "-S", str(_CONNECT), str(tunnel)]).replace("%", "%%")
    options = [f"ProxyCommand={proxy}", *_OPTIONS]
    keys = [] if identity is None else ["-i", str(identity), "-o", "IdentitiesOnly=yes"]
    return [
        program,
        *(word for option in options for word in ("-o", option)),
        *keys,
        "-t" if terminal else "-T",
        *("-l", _USER, "--", job),
        remote_command(command),
    ]


def run_ssh(command: Sequence[str]) -> int:
    """Run ssh; return its exit code, or 128 and the number of the signal that has ended it.

    ssh has the terminal, and gets the signals that a terminal sends. It can be suspended, as by `~^Z`: then this
    process is suspended too, and continues it.

    Args:
        command: Its command line.
    """
    with _Signals() as signals:
        process = subprocess.Popen(command)
        signals.hand_on_to(process.pid)
        while True:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                break
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(process.pid, signal.SIGCONT)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class _Signals:
    """Leaves signals to another process: those of the terminal reach it too, others are handed on."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._early: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def hand_on_to(self, pid: int) -> None:
        """Hand on signals to a process from now on, and those that came before it was known."""
        self._pid = pid
        for number in self._early:
            os.kill(pid, number)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGQUIT):
            return
        if self._pid is None:
            self._early.append(number)
        else:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)
