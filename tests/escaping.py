"""A process that leaves all that the emulator knows the processes of a job by."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import psutil

#: A daemon as careful ones are made: two forks, a session of its own, no environment, no folder, no open file.
_DAEMON = """
import os, sys, time
if os.fork():
    os.wait()
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    sys.exit()
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
os.closerange(0, 3)
part = sys.argv[1] + ".part"
with open(part, "w") as file:
    file.write(str(os.getpid()))
os.rename(part, sys.argv[1])
os.execve("/bin/sleep", ["sleep", "600"], {})
"""


def escape(pid_file: Path) -> str:
    """A command that starts a daemon which is known by nothing, and returns when that runs."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(_DAEMON)} {shlex.quote(str(pid_file))}"


def assert_gone(pid_file: Path) -> None:
    pid = int(pid_file.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
