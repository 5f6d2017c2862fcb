"""Many schedules: handed to worker processes, their results taken in."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.chaos.emulated import EmulatorProcess
from tests.chaos.home import Home
from tests.chaos.mutants import NO_MUTANT
from tests.chaos.schedule import PARTS, Part
from tests.chaos.server_home import ServerHome
from tests.chaos.shared_clock import SharedClock
from tests.chaos.task import Result, Task
from tests.chaos.worker import FACTORS, WorkerProcess

#: How often a schedule is drawn again of which something did not happen.
DRAWS = 6


@dataclass
class Suite:
    """What has been carried out so far.

    Thread-safe: one lock guards the tasks and the results.
    """

    tasks: deque[Task]
    folder: Path
    show_all: bool = False
    results: list[tuple[Task, Result]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_task(self, parts: frozenset[Part]) -> Task | None:
        """The next one of some parts."""
        with self._lock:
            task = next((task for task in self.tasks if task.part in parts), None)
            if task is not None:
                self.tasks.remove(task)
            return task

    def take_in(self, task: Task, result: Result) -> None:
        """Take in what was found, and have the schedule drawn again if something of it did not happen."""
        with self._lock:
            self.results.append((task, result))
            if len(self.results) % 100 == 0:
                print(f"{len(self.results)} schedules, {len(self.tasks)} to go", flush=True)
            if result.untested and task.draw < DRAWS and not self.show_all:
                self.tasks.append(replace(task, draw=task.draw + 1))
            self._show(task, result)

    def _show(self, task: Task, result: Result) -> None:
        broken = "; ".join(f"{rule}: {what}" for rule, what in result.broken) or result.crashed
        again = f"make chaos ONLY={task.name}" + (f" MUTANT='{task.mutant}'" if task.mutant != NO_MUTANT.name else "")
        if self.show_all or (broken and task.mutant == NO_MUTANT.name):
            account = self.folder / f"{task.name.replace('/', '-')}-{len(self.results)}.txt"
            account.write_text(f"{result.description}\n{broken}\n{result.account}")
            untested = f" (not tested: {'; '.join(result.untested)})" if result.untested else ""
            word = f"BROKEN {broken}" if broken else f"held in {result.seconds:.2f} s"
            print(f"{word}{untested}\n  {result.description}\n  again: {again}   account: {account}", flush=True)

    def tested(self, mutant: str = NO_MUTANT.name) -> list[tuple[Task, Result]]:
        """The schedules of which everything happened, and those that broke all the same."""
        return [
            (task, result)
            for task, result in self.results
            if task.mutant == mutant and (not result.untested or result.broken) and not result.crashed
        ]

    def broken(self) -> list[Result]:
        """The schedules in which something broke, with the operator as it is."""
        return [
            result
            for task, result in self.results
            if task.mutant == NO_MUTANT.name and (result.broken or result.crashed)
        ]

    def never_tested(self) -> list[Task]:
        """The schedules of which something did not happen, however often they were drawn."""
        return [t for t, r in self.results if r.untested and t.draw == DRAWS and t.mutant == NO_MUTANT.name]

    def number(self, part: Part) -> int:
        """How many schedules of a part were tested, with the operator as it is."""
        return sum(task.part == part for task, _ in self.tested())

    def untested(self) -> int:
        """How many were not tested."""
        return sum(bool(result.untested) for task, result in self.results if task.mutant == NO_MUTANT.name)

    def untested_most(self, number: int) -> list[tuple[str, int]]:
        """What did not happen most often although it was planned, and how often."""
        return Counter(what for _, result in self.results for what in result.untested).most_common(number)

    def happened(self, parts: Iterable[Part]) -> Counter[tuple[str, str]]:
        """How often each pair of phase and fault or event has happened, in schedules that were tested."""
        found: Counter[tuple[str, str]] = Counter()
        for task, result in self.tested():
            if task.part in parts and not result.untested:
                found.update(result.happened)
        return found


class Workers:
    """Worker processes, each with a thread that feeds it.

    They are forked from this process, which must have no threads then. One more carries out what is about a ZenML
    server, of which there is only one.

    Args:
        suite: What is to be done.
        number: How many.
    """

    def __init__(self, suite: Suite, number: int) -> None:
        self._suite = suite
        parts = {task.part for task in suite.tasks}
        shared: tuple[Part, ...] = tuple(part for part in PARTS if part in parts and part != "server")
        teams = [shared] * (number if shared else 0) + [("server",)] * ("server" in parts)
        self._emulators = [
            {
                part: EmulatorProcess(_made(suite.folder / f"worker-{index}") / part, part, SharedClock(FACTORS[part]))
                for part in team
            }
            for index, team in enumerate(teams)
        ]
        first = next(iter(self._emulators[0].values()))
        home = Home(suite.folder / "home")
        home.warm_up(first.address)
        self._homes: dict[Part, Home] = dict.fromkeys(shared, home)
        if "server" in parts:
            self._homes["server"] = ServerHome(suite.folder / "server")
            self._homes["server"].warm_up(first.address)
        self._workers = [
            WorkerProcess(suite.folder / f"worker-{index}", self._homes, emulators)
            for index, emulators in enumerate(self._emulators)
        ]

    def work_off(self) -> None:
        """Have the tasks of the suite carried out; returns when there are none left."""
        threads = [
            threading.Thread(target=self._feed, args=(worker, frozenset(emulators)))
            for worker, emulators in zip(self._workers, self._emulators, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self) -> None:
        """Let them end."""
        for worker in self._workers:
            worker.close()
        for emulators in self._emulators:
            for emulator in emulators.values():
                emulator.close()
        for home in set(self._homes.values()):
            home.close()

    def _feed(self, worker: WorkerProcess, parts: frozenset[Part]) -> None:
        while (task := self._suite.next_task(parts)) is not None:
            try:
                result = worker.carry_out(task)
            except RuntimeError as error:
                self._suite.take_in(task, Result(task.name, task.schedule().describe(), crashed=str(error)))
                return
            self._suite.take_in(task, result)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)  # each part has its own below it
    return folder
