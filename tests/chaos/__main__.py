"""The chaos suite: `python -m tests.chaos --help`."""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from tests.chaos.mutants import MUTANTS, NO_MUTANT
from tests.chaos.report import event_table, fault_table, missing
from tests.chaos.schedule import EVENT_PAIRS, PAIRS
from tests.chaos.suite import Suite, Workers
from tests.chaos.task import Task, task_named

#: Schedules with simulated jobs; with fewer, not every pair of phase and fault can happen.
COUNT = 2000

#: How often a pair that has not happened in the sequence is tried again.
FURTHER_TRIES = 4

#: How many schedules about each of its pairs a mutant has to pass.
MUTANT_TRIES = 2


def main() -> int:
    """Carry out the suite; 0 if everything holds."""
    options = _options()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    suite = Suite(deque(_tasks(options)), folder, show_all=bool(options.only))
    workers = Workers(suite, 1 if options.only else options.workers)
    try:
        workers.work_off()
        if not options.only and options.count >= COUNT:
            _try_further(suite, workers, options.seed)
    finally:
        workers.close()
    complaints = _complaints(suite, options)
    for complaint in complaints:
        print(complaint)
    print(_summary(suite, options, time.monotonic() - began))
    if not complaints:
        shutil.rmtree(folder)
    return 1 if complaints else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description="Runs pipelines while things go wrong.")
    parser.add_argument("--seed", type=int, default=1, help="what all schedules are made from")
    parser.add_argument("--count", type=int, default=COUNT, help="schedules with simulated jobs")
    parser.add_argument("--real", type=int, default=60, help="schedules with real jobs")
    parser.add_argument("--workers", type=int, default=4, help="worker processes")
    parser.add_argument("--only", help="one schedule again, by the name that a broken one was told with")
    parser.add_argument("--times", type=int, default=1, help="how often that one")
    parser.add_argument("--mutant", choices=tuple(MUTANTS), default=NO_MUTANT.name, help="for --only: which operator")
    return parser.parse_args()


def _tasks(options: argparse.Namespace) -> list[Task]:
    if options.only:
        return [task_named(options.only, options.mutant)] * options.times
    # The slow ones first, so that no worker is left with one of them at the end.
    tasks = [Task("real", options.seed, number) for number in range(options.real)]
    tasks += [
        Task("simulated", options.seed, number, pair, mutant.name)
        for mutant in MUTANTS.values()
        for pair in mutant.about
        for number in range(MUTANT_TRIES)
    ]
    return tasks + [Task("simulated", options.seed, number) for number in range(options.count)]


def _try_further(suite: Suite, workers: Workers, seed: int) -> None:
    """Some pairs happen only if a request comes at the right time: they are tried again, in schedules of their own."""
    for number in range(FURTHER_TRIES):
        fired, happened = suite.counts()
        pairs = [*missing(PAIRS, fired), *missing(EVENT_PAIRS, happened)]
        suite.tasks.extend(Task("simulated", seed, number, pair) for pair in pairs)
        workers.work_off()


def _complaints(suite: Suite, options: argparse.Namespace) -> list[str]:
    broken = suite.broken()
    complaints = [f"{len(broken)} schedules broke"] if broken else []
    complaints += [f"{len(suite.tasks)} schedules were not carried out"] if suite.tasks else []
    if options.only:
        return complaints
    fired, happened = suite.counts()
    print(f"How often each fault happened in each phase:\n{fault_table(fired)}")
    print(f"How often each event happened in each phase:\n{event_table(happened)}")
    complaints += [f"nobody noticed the mutant `{name}`" for name in _mutants() if not suite.broken(name)]
    if options.count < COUNT:
        return complaints
    complaints += [f"never happened: {fault} at {phase}" for phase, fault in missing(PAIRS, fired)]
    complaints += [f"never happened: {event} at {phase}" for phase, event in missing(EVENT_PAIRS, happened)]
    return complaints


def _summary(suite: Suite, options: argparse.Namespace, seconds: float) -> str:
    mutants = [name for name in _mutants() if suite.broken(name)]
    caught = f"; mutants caught: {len(mutants)}/{len(_mutants())}" if not options.only else ""
    return (
        f"chaos: {suite.number('simulated')} schedules simulated, {suite.number('real')} with real processes, "
        f"{len(suite.broken())} broken; seed {options.seed}, {seconds:.0f} s, of processor time {_cpu_seconds():.0f} s"
        f"{caught}"
    )


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _mutants() -> list[str]:
    return [name for name in MUTANTS if name != NO_MUTANT.name]


if __name__ == "__main__":
    sys.exit(main())
