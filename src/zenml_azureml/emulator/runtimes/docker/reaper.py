"""A process that ends the containers of a killed emulator, which cannot do that itself.

Runs as a program of its own: `python -m zenml_azureml.emulator.runtimes.docker.reaper STATE ADDRESS RUN`. The emulator
holds the other end of stdin. The system closes it at the latest when the emulator ends, however that happens. An
emulator that has ended its containers itself writes a word before.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from zenml_azureml.emulator.runtimes.base import EngineError

#: Times that containers are looked for: the engine may still be creating one when the emulator is killed.
_ROUNDS = 10
_PAUSE_SECONDS = 0.5
#: Seconds that an emulator waits for its reaper to end, which it does at once.
_END_SECONDS = 10


class Reaper:
    """The running process, which the caller starts before its first container.

    Args:
        state: State folder of the emulator.
        address: Of the Docker engine; empty for the usual one.
        run: The label of the containers of this run of the emulator; the next run has containers of its own.
    """

    def __init__(self, state: Path, address: str, run: str) -> None:
        # Without its output, which would keep a file or a terminal of the emulator open.
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(state), address, run],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl+C in a terminal is for the emulator
        )

    def dismiss(self) -> None:
        """End it: the emulator has ended its containers itself."""
        with suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(b"dismissed", timeout=_END_SECONDS)
        self._process.kill()
        self._process.wait()


def reap(remove: Callable[[], None], sleep: Callable[[float], None]) -> None:
    """Remove containers until no more can come.

    Args:
        remove: Removes those that there are; may fail while the engine does not answer.
        sleep: Waits a number of seconds.
    """
    for _ in range(_ROUNDS):
        with suppress(EngineError):
            remove()
        sleep(_PAUSE_SECONDS)


def main() -> None:
    """Wait for the end of the emulator, and remove its containers unless it has done so."""
    state, address, run = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read():
        return

    def remove() -> None:
        # Imported now: until then this process is small.
        from zenml_azureml.emulator.runtimes.docker.engine import DockerEngine

        DockerEngine(Path(state), address).remove_run(run)

    reap(remove, time.sleep)


if __name__ == "__main__":
    main()
