"""What the kernel reports about processes and the machine: parsed files of `/proc`. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zenml_azureml.in_job.sampler.recorder import Sample

_PROC: Final = Path("/proc")
GB: Final = 2**30


@dataclass(frozen=True)
class ProcessUse:
    """The use of one process.

    Attributes:
        parent: Process id of its parent.
        started: Time of its start, in the kernel's clock ticks.
        cpu_seconds: CPU time since its start.
        memory: Bytes of its resident memory.
    """

    parent: int
    started: str
    cpu_seconds: float
    memory: int


def process_use(stat: str, ticks: float, page: int) -> ProcessUse:
    """Parse `/proc/PID/stat`.

    Args:
        stat: Its content. The name of the process, in parentheses, may contain anything.
        ticks: Clock ticks a second.
        page: Bytes of a page.
    """
    fields = stat.rpartition(")")[2].split()
    # Of a zombie nothing is resident.
    memory = 0 if fields[0] in ("Z", "X") else max(0, int(fields[21])) * page
    return ProcessUse(int(fields[1]), fields[19], (int(fields[11]) + int(fields[12])) / ticks, memory)


class ProcessTree:
    """Processes with all their descendants. CPU time of those that have ended still counts.

    Args:
        proc: The folder that is `/proc`.
    """

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._ticks, self._page = float(os.sysconf("SC_CLK_TCK")), os.sysconf("SC_PAGE_SIZE")
        self._cpu: dict[tuple[int, str], float] = {}
        self._ended = 0.0

    def read(self, roots: Iterable[int]) -> tuple[float, int]:
        """Return the CPU seconds of a tree since its start, and the bytes of memory that it has now.

        Args:
            roots: Process ids of its roots.
        """
        found = dict(self._all())
        children: dict[int, list[int]] = {}
        for pid, use in found.items():
            children.setdefault(use.parent, []).append(pid)
        todo, tree = [pid for pid in roots if pid in found], set[int]()
        while todo:
            pid = todo.pop()
            if pid not in tree and pid != os.getpid():
                tree.add(pid)
                todo += children.get(pid, [])
        cpu = {(pid, found[pid].started): found[pid].cpu_seconds for pid in tree}
        self._ended += sum(seconds for key, seconds in self._cpu.items() if key not in cpu)
        self._cpu = cpu
        return self._ended + sum(cpu.values()), sum(found[pid].memory for pid in tree)

    def _all(self) -> Iterable[tuple[int, ProcessUse]]:
        with os.scandir(self._proc) as entries:
            numbers = [entry.name for entry in entries if entry.name.isdecimal()]
        for number in numbers:
            try:
                with open(f"{self._proc}/{number}/stat", errors="replace") as file:  # noqa: PTH123 - many, often
                    yield int(number), process_use(file.read(), self._ticks, self._page)
            except (OSError, ValueError, IndexError):
                continue  # it has ended


def memory_total(meminfo: str) -> int | None:
    """Return the bytes of memory of the machine, from `/proc/meminfo`; None if it does not say."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def network_bytes(net_dev: str) -> int:
    """Return the bytes that all interfaces but the loopback have received and sent, from `/proc/net/dev`."""
    total = 0
    for line in net_dev.splitlines():
        name, colon, rest = line.partition(":")
        fields = rest.split()
        if colon and name.strip() != "lo" and len(fields) > 8:
            total += int(fields[0]) + int(fields[8])
    return total


def read_memory_total() -> int | None:
    """Return the bytes of memory of this machine; None if unknown."""
    try:
        return memory_total((_PROC / "meminfo").read_text())
    except (OSError, ValueError):
        return None


def read_network() -> int | None:
    """Return the bytes that this machine or container has received and sent; None if unknown."""
    try:
        return network_bytes((_PROC / "self/net/dev").read_text())
    except (OSError, ValueError):
        return None


def cores() -> float:
    """Return the number of cores that this process may use."""
    return float(len(os.sched_getaffinity(0)))


def filesystem(folder: str) -> Sample | None:
    """Return the used and the whole size of the file system of a folder, in GB; None if there is no such folder."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    if not found.f_blocks:
        return None
    # As `df`: what is reserved for root is no part of the whole.
    used = found.f_blocks - found.f_bfree
    return Sample(used * found.f_frsize / GB, (used + found.f_bavail) * found.f_frsize / GB)
