"""The shells of one job, started and watched through the job's keeper."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zenml_azureml.emulator.runtimes.process.tree import KEEPER

#: Seconds to wait for a keeper to end by itself, which spares a search among all processes of the machine.
_KEEPER_SECONDS = 0.25


@dataclass(frozen=True)
class Shell:
    """A shell to start.

    Attributes:
        command: The script that it runs.
        cwd: Its working directory.
        environment: All of its environment variables. May hold secrets: never on a command line.
        log: The file that its stdout and stderr are appended to.
    """

    command: str
    cwd: str
    environment: Mapping[str, str]
    log: str


class KeptShells:
    """The running shells of one job.

    Attributes:
        pids: Their process ids, each the leader of a process group.
    """

    def __init__(self, keeper: asyncio.subprocess.Process, pids: Sequence[int]) -> None:
        self._keeper = keeper
        self.pids = tuple(pids)
        self._ends: list[asyncio.Future[int]] = [asyncio.get_running_loop().create_future() for _ in pids]
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    @classmethod
    async def start(cls, root: Path, shells: Sequence[Shell]) -> KeptShells:
        """Start a keeper, and by it the shells.

        Args:
            root: The job's folder, by which the processes of a killed emulator are found.
            shells: The shells.

        Raises:
            OSError: If one of them cannot be started; none of them runs then.
        """
        keeper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(KEEPER)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"HOME": str(root)},
            start_new_session=True,
        )
        assert keeper.stdin is not None  # noqa: S101 - asked for above
        assert keeper.stdout is not None  # noqa: S101 - asked for above
        keeper.stdin.write(json.dumps([asdict(shell) for shell in shells]).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await keeper.stdout.readline() or b'{"failed": [null, "no answer"]}')
        if "started" in answer:
            return cls(keeper, answer["started"])
        await keeper.wait()
        number, message = answer["failed"]
        raise OSError(number, message) if number else OSError(f"The job's processes cannot be started: {message}.")

    @property
    def keeper_pid(self) -> int:
        """The process id of the keeper."""
        return self._keeper.pid

    async def end_of(self, index: int) -> int:
        """Wait for the end of a shell; return its exit code, negative for a signal."""
        return await asyncio.shield(self._ends[index])

    async def left_nothing(self) -> bool:
        """True if nothing of the job is left: its keeper has ended, as it does then. Waits for that a moment."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._watching), _KEEPER_SECONDS)
        return self._keeper.returncode == 0

    def kill(self, index: int) -> None:
        """Kill a shell and its process group; does nothing if it has ended."""
        if not self._ends[index].done():
            os.killpg(self.pids[index], signal.SIGKILL)

    async def _watch(self) -> None:
        assert self._keeper.stdout is not None  # noqa: S101 - asked for at its start
        while line := await self._keeper.stdout.readline():
            report = json.loads(line)
            self._ends[report["ended"]].set_result(report["code"])
        await self._keeper.wait()
        for end in self._ends:  # the keeper was killed, and what it kept is killed next
            if not end.done():
                end.set_result(-signal.SIGKILL)
