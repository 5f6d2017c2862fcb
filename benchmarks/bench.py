"""What every measurement gets."""

from __future__ import annotations

import json
import subprocess
import sys
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


def in_a_process(module: str, *arguments: object) -> Any:
    """What a module of the benchmarks measures in a process of its own: the JSON in the last line that it prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
