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


def in_a_process(module: str, *arguments: object) -> Any:
    """What a module of the benchmarks measures in a process of its own: the JSON in the last line that it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=own_repository())
    return json.loads(done.stdout.splitlines()[-1])
