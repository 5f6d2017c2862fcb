"""Use of the node's GPUs, from `nvidia-smi` or `rocm-smi`. Standard library only.

`nvidia-smi` repeats its reading in one process, because each start of it costs up to a second of processor time.
Formats: `nvidia-smi --help-query-gpu`, and outputs in public reports (the addresses are in the tests).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from zenml_azureml.contract.usage import GPU, GPU_MEMORY
from zenml_azureml.in_job.sampler.recorder import Sample

_NVIDIA_QUERY: Final = "index,name,utilization.gpu,memory.used,memory.total"
_ROCM: Final = ("rocm-smi", "--showproductname", "--showuse", "--showmeminfo", "vram", "--json")

#: `rocm-smi` is a program in Python that cannot repeat its reading: it is started this seldom.
_ROCM_SECONDS: Final = 60.0

_MIB: Final = 1024.0


@dataclass(frozen=True)
class GpuReading:
    """One reading of one GPU.

    Attributes:
        name: E.g. `Tesla T4`.
        percent: Share of the time in which it was busy, in percent; None if it does not report it, as parts of a GPU.
        used_gb: Its used memory in GB; None if unknown.
        total_gb: Its whole memory in GB; None if unknown.
    """

    name: str
    percent: float | None
    used_gb: float | None
    total_gb: float | None


def nvidia_reading(line: str) -> tuple[str, GpuReading] | None:
    """Parse a line of `nvidia-smi --query-gpu=... --format=csv,noheader,nounits`.

    Args:
        line: E.g. `0, Tesla T4, 23, 5121, 15360`. A value may be `[N/A]`, `[Not Supported]` or an error.

    Returns:
        The number of the GPU, and its reading; None for another line, such as a message.
    """
    parts = [part.strip() for part in line.split(",")]
    # A name with a comma would have too many parts.
    if len(parts) < 5 or not parts[0].isdecimal():
        return None
    percent, used, total = (_number(part) for part in parts[-3:])
    return parts[0], GpuReading(
        ", ".join(parts[1:-3]),
        percent,
        None if used is None else used / _MIB,
        None if total is None else total / _MIB,
    )


def rocm_readings(text: str) -> dict[str, GpuReading]:
    """Parse the output of `rocm-smi --showproductname --showuse --showmeminfo vram --json`.

    Args:
        text: An object for each card, with all values as texts. Warnings may precede it.
    """
    try:
        cards = json.loads(text[text.index("{") :])
    except ValueError:
        return {}
    if not isinstance(cards, Mapping):
        return {}
    return {
        str(name): GpuReading(
            str(card.get("Card Series") or card.get("Card series") or card.get("Card SKU") or ""),
            _number(card.get("GPU use (%)")),
            _gb(card.get("VRAM Total Used Memory (B)")),
            _gb(card.get("VRAM Total Memory (B)")),
        )
        for name, card in cards.items()
        if str(name).startswith("card") and isinstance(card, Mapping)
    }


def samples_of(readings: Iterable[GpuReading]) -> dict[str, Sample]:
    """Return the samples of a node: the average use of its GPUs, and the memory of the one that needs most."""
    known = list(readings)
    samples = {}
    busy = [reading.percent for reading in known if reading.percent is not None]
    if busy:
        samples[GPU] = Sample(sum(busy) / len(busy), 100.0)
    memory = [(reading.used_gb, reading.total_gb) for reading in known if reading.used_gb is not None]
    if memory:
        used, total = max(memory, key=lambda one: one[0] or 0.0)
        samples[GPU_MEMORY] = Sample(used or 0.0, total)
    return samples


class Gpus:
    """The GPUs of this node, read by a program that runs beside the sampler.

    Args:
        seconds: Time between two readings.
        environment: Environment variables of the job, with the path of programs.
    """

    def __init__(self, seconds: float, environment: Mapping[str, str]) -> None:
        self._seconds = seconds
        self._environment = {name: environment[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in environment}
        self._latest: dict[str, GpuReading] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        path = self._environment.get("PATH", os.defpath)
        nvidia, rocm = shutil.which("nvidia-smi", path=path), shutil.which("rocm-smi", path=path)
        if nvidia:
            self._begin(self._read_nvidia, nvidia)
        elif rocm:
            self._begin(self._read_rocm, rocm)

    @property
    def latest(self) -> list[GpuReading]:
        """The latest reading of each GPU."""
        return list(self._latest.values())

    def close(self) -> None:
        """End the program."""
        self._over.set()
        if self._process is not None:
            with suppress(OSError):
                self._process.kill()

    def _begin(self, read: Any, program: str) -> None:
        threading.Thread(target=read, args=(program,), name="zenml-azureml-gpus", daemon=True).start()

    def _started(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            close_fds=True,
        )

    def _read_nvidia(self, program: str) -> None:
        with suppress(Exception):  # a node whose driver fails has no readings
            interval = str(max(1, round(self._seconds)))
            query = f"--query-gpu={_NVIDIA_QUERY}"
            self._process = self._started(program, query, "--format=csv,noheader,nounits", "-l", interval)
            assert self._process.stdout is not None  # noqa: S101 - it is a pipe
            for line in self._process.stdout:
                reading = nvidia_reading(line.decode(errors="replace"))
                if reading is not None:
                    self._latest = {**self._latest, reading[0]: reading[1]}

    def _read_rocm(self, program: str) -> None:
        with suppress(Exception):
            while not self._over.is_set():
                self._process = self._started(program, *_ROCM[1:])
                output, _ = self._process.communicate(timeout=30)
                self._latest = rocm_readings(output.decode(errors="replace"))
                self._over.wait(max(self._seconds, _ROCM_SECONDS))


def _number(text: object) -> float | None:
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _gb(text: object) -> float | None:
    number = _number(text)
    return None if number is None else number / 2**30
