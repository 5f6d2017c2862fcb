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

from tests.chaos.catalogue import PAIRS
from tests.chaos.mutants import MUTANTS, NO_MUTANT
from tests.chaos.report import missing, noticed, pair_table
from tests.chaos.schedule import Part
from tests.chaos.suite import Suite, Workers
from tests.chaos.task import PAIRS_OF, Task, task_named

#: Schedules with simulated jobs; with fewer than there are pairs, not every pair can happen.
COUNT = len(PAIRS)
REAL, SERVER = len(PAIRS_OF["real"]), len(PAIRS_OF["server"])


def main() -> int:
    """Carry out the suite; 0 if everything holds."""
    options = _options()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    suite = Suite(deque(_tasks(options)), folder, show_all=bool(options.only))
    workers = Workers(suite, 1 if options.only else options.workers)
    try:
        workers.work_off()
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
    parser.add_argument("--seed", type=int, default=1, help="what all schedules follow from")
    parser.add_argument("--count", type=int, default=COUNT, help="schedules with simulated jobs")
    parser.add_argument("--real", type=int, default=REAL, help="schedules with real jobs")
    parser.add_argument("--server", type=int, default=SERVER, help="schedules with real jobs on a ZenML server")
    parser.add_argument("--stride", type=int, default=1, help="of the schedules of each part, only each n-th")
    parser.add_argument("--workers", type=int, default=4, help="worker processes")
    parser.add_argument("--only", help="one schedule again, by the name that a broken one was reported with")
    parser.add_argument("--times", type=int, default=1, help="how often that one")
    parser.add_argument("--mutant", default="", help="these broken operators alone, by commas")
    parser.add_argument("--no-mutants", action="store_true", help="the operator as it is alone")
    return parser.parse_args()


def _tasks(options: argparse.Namespace) -> list[Task]:
    if options.only:
        return [task_named(options.only, options.mutant or NO_MUTANT.name)] * options.times
    # The slow ones first, so that no worker is left with one of them at the end.
    numbers: dict[Part, int] = {"server": options.server, "real": options.real, "simulated": options.count}
    tasks = [
        Task(part, options.seed, number)
        for part, count in numbers.items()
        for number in range(options.seed % options.stride, count, options.stride)
    ]
    return _mutant_tasks(options) + tasks


def _mutant_tasks(options: argparse.Namespace) -> list[Task]:
    return [
        Task("simulated", options.seed, number, mutant=mutant.name)
        for mutant in _mutants(options)
        for number in range(len(mutant.about))
    ]


def _complaints(suite: Suite, options: argparse.Namespace) -> list[str]:
    broken = suite.broken()
    complaints = [f"{len(broken)} schedules broke"] if broken else []
    complaints += [f"{len(suite.tasks)} schedules were not carried out"] if suite.tasks else []
    if options.only:
        return complaints
    for mutant in _mutants(options):
        by_schedule = [noticed(mutant, [each]) for each in suite.tested(mutant.name)]
        print(
            f"mutant `{mutant.name}`, by `{mutant.rule}`: noticed in {sum(by_schedule)} of {len(by_schedule)} schedules"
        )
    complaints += [f"never tested: {task.schedule().describe()}" for task in suite.never_tested()]
    for mutant in _mutants(options):
        if not noticed(mutant, suite.tested(mutant.name)):
            found = [(task.name, result.broken) for task, result in suite.tested(mutant.name)]
            complaints.append(f"the mutant `{mutant.name}` was not noticed by `{mutant.rule}`: {found}")
    happened = suite.happened(("simulated",))
    for what, times in suite.untested_most(5):
        print(f"not tested {times} times, and drawn again: {what}")
    if options.count:
        print(f"How often each fault, and each event, happened in each phase:\n{pair_table(happened)}")
    if options.count >= COUNT and options.stride == 1:
        complaints += [f"never happened: {trouble} at {phase}" for phase, trouble in missing(PAIRS, happened)]
    if options.server >= SERVER and options.stride == 1:
        seen = suite.happened(("server",))
        pairs = PAIRS_OF["server"]
        complaints += [f"never happened on a server: {trouble} at {phase}" for phase, trouble in missing(pairs, seen)]
    return complaints


def _summary(suite: Suite, options: argparse.Namespace, seconds: float) -> str:
    mutants = _mutants(options)
    caught = sum(noticed(mutant, suite.tested(mutant.name)) for mutant in mutants)
    return (
        f"chaos: {suite.number('simulated')} schedules simulated, {suite.number('real')} with real processes, "
        f"{suite.number('server')} on a ZenML server, {suite.untested()} not tested and drawn again, "
        f"{len(suite.broken())} broken; seed {options.seed}, {seconds:.0f} s, of processor time {_cpu_seconds():.0f} s"
        + (f"; mutants noticed by the rule that they break: {caught}/{len(mutants)}" if mutants else "")
    )


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _mutants(options: argparse.Namespace) -> list:  # type: ignore[type-arg]
    if options.no_mutants or options.only:
        return []
    return [
        mutant
        for name, mutant in MUTANTS.items()
        if name != NO_MUTANT.name and (not options.mutant or name in options.mutant.split(","))
    ]


if __name__ == "__main__":
    sys.exit(main())
