"""The parent process of a job's shells: no process that they start escapes from it.

Runs as a program of its own, `python -I -S keeper.py`, standard library only. On Linux it is a child subreaper: every
descendant whose own parent ends becomes its child, also one with a session of its own and a clean environment. So all
processes of a job are descendants of its keeper for as long as they live, and the keeper ends when none is left. On
other systems it is an ordinary parent.

The emulator holds the other end of stdin. The system closes it at the latest when the emulator ends, however that
happens. Then the keeper kills all processes of the job.

It reads one line of JSON from stdin: a list of `{"command", "cwd", "environment", "log"}`. It writes lines of JSON to
stdout: `{"started": [PID, ...]}` or `{"failed": [ERRNO, MESSAGE]}`, then `{"ended": INDEX, "code": EXIT_CODE}` for each
shell, a negative code for a signal. Its own exit code is 0 if certainly nothing of the job is left.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

#: `PR_SET_CHILD_SUBREAPER` of `linux/prctl.h`.
_SET_CHILD_SUBREAPER = 36
_KILL_SECONDS = 0.05


def become_subreaper() -> bool:
    """Have orphaned descendants become children of this process; False if this system has no such thing."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _say(message: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except OSError:  # the emulator was killed
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for the rest of this process


def _start(shell: dict[str, Any]) -> int:
    with Path(shell["log"]).open("ab") as log:
        process = subprocess.Popen(
            ["/bin/bash", "-c", shell["command"]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=shell["cwd"],
            env=shell["environment"],
            start_new_session=True,
        )
    pid, process.returncode = process.pid, 0  # reaped below; without a code, `Popen` would warn and wait for it itself
    return pid


def _start_all(shells: list[dict[str, Any]]) -> list[int]:
    pids: list[int] = []
    try:
        for shell in shells:
            pids.append(_start(shell))
    except (OSError, ValueError) as error:
        for pid in pids:
            os.killpg(pid, signal.SIGKILL)
        _say({"failed": [getattr(error, "errno", None), getattr(error, "strerror", None) or str(error)]})
        sys.exit(1)
    return pids


def _reap_all(pids: list[int]) -> None:
    """Reap every child, adopted ones too, until none is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return
        if pid in pids:
            _say({"ended": pids.index(pid), "code": os.waitstatus_to_exitcode(status)})
            pids[pids.index(pid)] = 0  # the number may be given to another process


def _children() -> Iterator[int]:
    """Yield the children of this process, adopted ones too. Linux alone has these files."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                yield int(folder.name)


def _end_with_emulator(pids: list[int]) -> None:
    """Kill everything when stdin ends. What a killed child has started becomes a child, and is killed too."""
    while os.read(sys.stdin.fileno(), 1):  # and not of its buffer, which Python wants to itself when it ends
        pass
    for pid in filter(None, pids):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    while True:  # until `_reap_all` finds nothing more, which ends this process
        for child in _children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(_KILL_SECONDS)


def main() -> None:
    """Start the shells that stdin asks for, and wait for every process that comes of them."""
    adopts = become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A handler and not `SIG_IGN`, which programs inherit and shells cannot trap.
        signal.signal(number, lambda _number, _frame: None)
    shells = json.loads(sys.stdin.buffer.readline() or b"[]")
    pids = _start_all(shells)
    _say({"started": pids})
    threading.Thread(target=_end_with_emulator, args=(pids,), daemon=True).start()
    _reap_all(pids)
    os._exit(0 if adopts else 3)  # which the other thread does not delay


if __name__ == "__main__":
    main()
