"""Many schedules: handed to worker processes, their results taken in."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.emulated import EmulatorProcess
from tests.chaos.home import Home
from tests.chaos.mutants import NO_MUTANT
from tests.chaos.schedule import PARTS, Part
from tests.chaos.task import Result, Task
from tests.chaos.worker import FACTORS, WorkerProcess


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

    def next_task(self) -> Task | None:
        with self._lock:
            return self.tasks.popleft() if self.tasks else None

    def take_in(self, task: Task, result: Result) -> None:
        with self._lock:
            self.results.append((task, result))
            if len(self.results) % 200 == 0:
                print(f"{len(self.results)} schedules, {len(self.tasks)} to go", flush=True)
            if task.mutant != NO_MUTANT.name and not self.show_all:
                return
            if result.broken:
                account = self.folder / f"{task.name.replace('/', '-')}.txt"
                account.write_text(f"{result.description}\n{'; '.join(result.broken)}\n{result.account}")
                print(f"BROKEN {'; '.join(result.broken)}\n  {result.description}")
                print(f"  again: make chaos ONLY={task.name}   account: {account}", flush=True)
            elif self.show_all:
                print(f"{task.name} held in {result.seconds:.2f} s: {result.description}", flush=True)

    def broken(self, mutant: str = NO_MUTANT.name) -> list[Result]:
        """The schedules in which something broke."""
        return [result for task, result in self.results if task.mutant == mutant and result.broken]

    def number(self, part: Part) -> int:
        """How many schedules of a part were carried out, with the operator as it is."""
        return sum(task.part == part and task.mutant == NO_MUTANT.name for task, _ in self.results)

    def counts(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        """How often each fault and each event has happened at which phase."""
        fired: Counter[tuple[str, str]] = Counter()
        happened: Counter[tuple[str, str]] = Counter()
        for task, result in self.results:
            if task.mutant == NO_MUTANT.name:
                fired.update({(phase, fault) for phase, fault in result.fired})
                happened.update({(phase, event) for phase, event in result.happened})
        return fired, happened


class Workers:
    """Worker processes, each with a thread that feeds it.

    They are forked from this process, which must have no threads then.

    Args:
        suite: What is to be done.
        number: How many.
    """

    def __init__(self, suite: Suite, number: int) -> None:
        self._suite = suite
        self._emulators = [
            {part: EmulatorProcess(suite.folder / f"worker-{index}" / part, part, FACTORS[part]) for part in PARTS}
            for index in range(number)
        ]
        home = Home(suite.folder / "home")
        home.warm_up(self._emulators[0]["simulated"].address)
        self._workers = [
            WorkerProcess(suite.folder / f"worker-{index}", home, {p: e.address for p, e in emulators.items()})
            for index, emulators in enumerate(self._emulators)
        ]

    def work_off(self) -> None:
        """Have the tasks of the suite carried out; returns when there are none left."""
        threads = [threading.Thread(target=self._feed, args=(worker,)) for worker in self._workers]
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

    def _feed(self, worker: WorkerProcess) -> None:
        while (task := self._suite.next_task()) is not None:
            try:
                result = worker.carry_out(task)
            except RuntimeError as error:
                self._suite.take_in(task, Result(task.name, task.schedule().describe(), [str(error)]))
                return
            self._suite.take_in(task, result)
