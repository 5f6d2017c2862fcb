"""CPU time and memory of the container of this process, from control groups of version 1 or 2. Standard library only.

A process without a container has none of its own: its group is that of a login session or a service. A group counts as
that of a container if the first process that is visible here is in it too, and if it is not the root of all groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_CGROUP: Final = Path("/sys/fs/cgroup")

#: A limit of version 1 that is larger than any machine stands for no limit.
_NO_LIMIT: Final = 2**60


@dataclass(frozen=True)
class Reading:
    """The use of a container so far.

    Attributes:
        cpu_seconds: CPU time since its start.
        cpu_limit: Cores that it may use; None for no limit.
        memory: Bytes of memory that it needs: without files that were cached and not used lately.
        memory_limit: Bytes that it may use; None for no limit.
    """

    cpu_seconds: float
    cpu_limit: float | None
    memory: int
    memory_limit: int | None


class Container:
    """The control groups of a container.

    Args:
        memory: Folder of the group for memory.
        cpu: Folder of the group for CPU.
        quota: Folder of the group with the limit of CPU.
        version: 1 or 2.
    """

    def __init__(self, memory: Path, cpu: Path, quota: Path, version: int) -> None:
        self._memory, self._cpu, self._quota, self._version = memory, cpu, quota, version

    def read(self) -> Reading | None:
        """Return its use; None if it cannot be read."""
        try:
            return self._read_2() if self._version == 2 else self._read_1()
        except (OSError, ValueError, KeyError):
            return None

    def _read_2(self) -> Reading:
        quota, period = (self._quota / "cpu.max").read_text().split()
        used = int((self._memory / "memory.current").read_text())
        limit = (self._memory / "memory.max").read_text().strip()
        return Reading(
            cpu_seconds=int(_fields(self._cpu / "cpu.stat")["usage_usec"]) / 1e6,
            cpu_limit=None if quota == "max" else int(quota) / int(period),
            memory=max(0, used - int(_fields(self._memory / "memory.stat").get("inactive_file", "0"))),
            memory_limit=None if limit == "max" else int(limit),
        )

    def _read_1(self) -> Reading:
        quota = int((self._quota / "cpu.cfs_quota_us").read_text())
        period = int((self._quota / "cpu.cfs_period_us").read_text())
        used = int((self._memory / "memory.usage_in_bytes").read_text())
        limit = int((self._memory / "memory.limit_in_bytes").read_text())
        return Reading(
            cpu_seconds=int((self._cpu / "cpuacct.usage").read_text()) / 1e9,
            cpu_limit=None if quota <= 0 else quota / period,
            memory=max(0, used - int(_fields(self._memory / "memory.stat").get("total_inactive_file", "0"))),
            memory_limit=None if limit >= _NO_LIMIT else limit,
        )


def container(proc: Path = _PROC, root: Path = _CGROUP) -> Container | None:
    """Return the container of this process; None if it has none, or if it cannot be read.

    Args:
        proc: The folder that is `/proc`.
        root: The folder that is `/sys/fs/cgroup`.
    """
    try:
        own, first = _groups(proc / "self/cgroup"), _groups(proc / "1/cgroup")
    except OSError:
        return None
    if "memory" in own:
        memory = _folder(root / "memory", own["memory"], first.get("memory"), "memory.usage_in_bytes")
        cpu = _folder(root / "cpuacct", own.get("cpuacct", ""), first.get("cpuacct"), "cpuacct.usage")
        quota = _folder(root / "cpu", own.get("cpu", ""), first.get("cpu"), "cpu.cfs_quota_us")
        found = None if None in (memory, cpu, quota) else (memory, cpu, quota, 1)
    else:
        group = _folder(root, own.get("", ""), first.get(""), "memory.max")
        found = None if group is None else (group, group, group, 2)
    if found is None:
        return None
    read = Container(*found)  # type: ignore[arg-type]  # none of them is None
    return read if read.read() is not None else None


def _folder(root: Path, own: str, first: str | None, file: str) -> Path | None:
    """Return the folder of a group; None if it is not that of a container.

    A container sees its groups below the paths that the machine has for them, or as the root of all that it sees.
    """
    if own != first:
        return None
    for folder in (root / own.lstrip("/"), root):
        if (folder / file).exists():
            # Only the root of all groups of version 1 has this file; that of version 2 has no limits.
            return None if (folder / "release_agent").exists() else folder
    return None


def _groups(file: Path) -> dict[str, str]:
    """Return the group of a process by controller; that of version 2 has no name."""
    found: dict[str, str] = {}
    for line in file.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _fields(file: Path) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in file.read_text().splitlines() if " " in line)
