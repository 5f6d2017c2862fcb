"""What every measurement gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.emulator_process import EmulatorProcess

#: The environment variable with the file for the result of a process.
_RESULT = "BENCH_RESULT"


@dataclass(frozen=True)
class Bench:
    """One run of the benchmarks.

    Attributes:
        emulator: The one emulator.
        folder: Where everything is.
        quick: Whether it is only to be seen that everything works: the numbers mean nothing.
    """

    emulator: EmulatorProcess
    folder: Path
    quick: bool

    def runs(self, number: int = 5) -> range:
        """How often to measure each, one after the other in turn."""
        return range(1 if self.quick else number)


def own_repository() -> dict[str, str]:
    """The environment of a process with a ZenML repository of its own: several at once spoil each other's file."""
    folder = Path(tempfile.mkdtemp(prefix="repository-", dir=os.environ["HOME"]))
    (folder / ".zen").mkdir()
    return {**os.environ, "ZENML_REPOSITORY_PATH": str(folder)}


def in_a_process(module: str, *arguments: object, timeout: float | None = None) -> Any:
    """What a module of the benchmarks measures in a process of its own, where it calls `report`.

    Raises:
        subprocess.TimeoutExpired: If it takes more than so many seconds.
    """
    environment = own_repository()
    environment[_RESULT] = str(Path(environment["ZENML_REPOSITORY_PATH"], "result.json"))
    command = [sys.executable, "-m", module, *map(str, arguments)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment, timeout=timeout)
    return json.loads(Path(environment[_RESULT]).read_text())


def report(result: object) -> None:
    """Tell the process that waits in `in_a_process`. Not on the standard output, where ZenML's threads print too."""
    Path(os.environ[_RESULT]).write_text(json.dumps(result))
