"""Where the processes of a test run find the warm Pythons that they share: who needs one first starts it.

pytest makes the folder, and its workers have the variable that names it. The warm Pythons end when pytest ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]
VARIABLE = "TESTS_WARM_HOME"
#: The warm Pythons read it, and nobody writes to it: it ends with the process that made it.
_ALIVE = "alive"


def make_home() -> Callable[[], None] | None:
    """Make the folder, unless the process that started this one has made it; what removes it again."""
    if VARIABLE in os.environ:
        return None
    folder = tempfile.mkdtemp(prefix="warm-")
    os.mkfifo(Path(folder) / _ALIVE)
    os.open(Path(folder) / _ALIVE, os.O_RDWR)
    os.environ[VARIABLE] = folder
    return lambda: shutil.rmtree(folder, ignore_errors=True)


def home() -> Path:
    """The folder, which all processes of the test run share."""
    return Path(os.environ[VARIABLE])


def warm_python(module: str, variables: Mapping[str, str], python: str = sys.executable) -> Path:
    """A folder with the `socket` at which a warm Python is asked to fork: see `warm_server.py`.

    Args:
        module: Its `main` is what it runs.
        variables: Its environment variables, beside those that it needs to find the tests.
        python: The interpreter, in an environment that does not change.
    """
    key = json.dumps([module, python, str(ROOT), sorted(variables.items())])
    folder = home() / hashlib.sha256(key.encode()).hexdigest()[:16]
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            _start(folder, [python, "-c", f"from {module} import main; main()"], variables, home() / _ALIVE)
    return folder


def _start(folder: Path, command: list[str], variables: Mapping[str, str], alive: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, alive.open("rb") as end, (folder / "log").open("wb") as log:
        listening.bind(str(folder / "socket"))
        listening.listen(64)
        environment = {
            "HOME": os.devnull,
            "PATH": os.defpath,
            **variables,
            "PYTHONPATH": str(ROOT),
            "WARM_SOCKET": str(listening.fileno()),
        }
        # Nobody waits for it: it is connected to.
        _started.append(
            subprocess.Popen(
                command,
                stdin=end,
                stdout=log,  # as it may outlive whoever reads what this process prints
                stderr=log,
                env=environment,
                cwd=ROOT,
                pass_fds=[listening.fileno()],
                start_new_session=True,
            )
        )


#: So that Python does not warn of those that it forgets.
_started: list[subprocess.Popen[bytes]] = []
