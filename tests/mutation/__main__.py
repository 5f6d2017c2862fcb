"""Mutation testing: `python -m tests.mutation --help`."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as Tree

from tests.mutation.accepted import ACCEPTED
from tests.mutation.lines import FOLDER
from tests.mutation.mutate import Mutation, mutations
from tests.mutation.record import lines_of_tests
from tests.mutation.targets import IN_PROCESSES, PACKAGE, ROOT, TARGETS, TESTS
from tests.mutation.workplace import Workplace

#: Of the mutants, so many have to be noticed.
ENOUGH = 0.95

#: Seconds that the tests of one mutant may take together: beyond that, the slowest are left out.
MOST_SECONDS = 120.0


@dataclass(frozen=True)
class Mutant:
    """A mutation and the tests that execute its lines, the quickest first."""

    module: str
    mutation: Mutation
    tests: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        return f"{self.module}:{self.mutation.line}: {self.mutation.what}"

    @property
    def name(self) -> str:
        """Its name in `ACCEPTED`, which does not change with the lines above it."""
        return f"{self.module}: {self.mutation.function}: {self.mutation.what}"


def main() -> int:
    """Make mutants and have the tests notice them; 0 if enough of them are noticed."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        recorded = Path(options.recorded or Path(folder) / "recorded")
        if not recorded.exists():
            _record(recorded, options.tests, options.workers)
        executed, durations = lines_of_tests(recorded), _durations(recorded)
        every = [(module, each) for module in TARGETS for each in mutations((PACKAGE / module).read_text())]
        drawn = [
            Mutant(module, mutation, *_tests(module, executed[module], mutation, durations))
            for seed in options.seeds
            for module, mutation in _draw(seed, options.number, every)
        ]
        mutants = list({str(mutant): mutant for mutant in drawn}.values())
        results = _try_all(mutants, Path(folder), options.workers, options.results and Path(options.results))
    return _report(results, options.seeds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description="Changes lines; the tests have to notice.")
    today = date.today().strftime("%Y%m%d")
    parser.add_argument("--seeds", nargs="+", default=["1", "2", today], help="what the mutants are drawn by")
    parser.add_argument("--number", type=int, default=60, help="how many of each seed")
    parser.add_argument("--workers", type=int, default=2, help="how many at once")
    parser.add_argument("--results", help="file that keeps each result; those in it are not tried again")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="folders or files of the tests that are recorded")
    parser.add_argument("--recorded", help="folder with the lines that tests execute; recorded if it is not there")
    return parser.parse_args()


def _record(folder: Path, tests: Sequence[str], workers: int) -> None:
    """Run the tests once, and keep which lines each of them executes, and how long it takes."""
    folder.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        str(workers),
        "--dist",
        "worksteal",
        "-p",
        "tests.mutation.record",
    ]
    command += [f"--junit-xml={folder / 'durations.xml'}", "-m", "not long", *tests]
    subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, FOLDER: str(folder)})


def _durations(folder: Path) -> dict[str, float]:
    """Return the seconds of each test, by its id, of those that passed."""
    durations = {}
    for case in Tree.parse(folder / "durations.xml").iter("testcase"):
        if not len(case) and "classname" in case.attrib:  # an interrupted run has some without
            durations[f"{_file_of(case.attrib['classname'])}::{case.attrib['name']}"] = float(case.attrib["time"])
    return durations


def _file_of(names: str) -> str:
    """Return the file, and the class if there is one, of dotted names, as ids of tests have them."""
    path, classes = names.replace(".", "/"), ""
    while path and not (ROOT / f"{path}.py").exists():
        path, _, name = path.rpartition("/")
        classes = f"::{name}{classes}"
    return f"{path}.py{classes}"


def _draw(seed: str, number: int, every: Sequence[tuple[str, Mutation]]) -> list[tuple[str, Mutation]]:
    """Draw mutations by a seed: of all lines alike, whatever module they are in."""
    return random.Random(seed).sample(every, min(number, len(every)))


def _tests(
    module: str, executed: Mapping[int, set[str]], mutation: Mutation, durations: Mapping[str, float]
) -> tuple[tuple[str, ...], float]:
    """Return the tests that execute the lines of a mutation, the quickest first, and how long they take."""
    found = {test for line in mutation.lines for test in executed.get(line, ()) if test in durations}
    found |= {test for test in durations if test.startswith(IN_PROCESSES.get(module, ()))}
    tests: list[str] = []
    seconds = 0.0
    for test in sorted(found, key=lambda test: durations[test]):
        if tests and seconds + durations[test] > MOST_SECONDS:
            break
        tests.append(test)
        seconds += durations[test]
    return tuple(tests), seconds


def _try_all(mutants: list[Mutant], folder: Path, workers: int, kept: Path | None) -> dict[str, list[Mutant]]:
    results: dict[str, list[Mutant]] = defaultdict(list)
    known = dict(_kept_results(kept))
    for mutant in mutants:
        if str(mutant) in known:
            results[known[str(mutant)]].append(mutant)
    waiting, lock = [mutant for mutant in reversed(mutants) if str(mutant) not in known], threading.Lock()

    def work(number: int) -> None:
        workplace = Workplace(folder / f"worker-{number}")
        while True:
            with lock:
                if not waiting:
                    workplace.close()
                    return
                mutant = waiting.pop()
            began = time.monotonic()
            result = "survived"
            if mutant.tests:
                result = workplace.notices(mutant.module, mutant.mutation, mutant.tests, mutant.seconds)
            if result == "survived" and mutant.name in ACCEPTED:
                result = "accepted"
            with lock:
                results[result].append(mutant)
                if kept is not None:
                    with kept.open("a", encoding="utf-8") as file:
                        file.write(f"{result}\t{mutant}\n")
                print(f"{result:9} {time.monotonic() - began:5.0f} s  {mutant}", flush=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _kept_results(kept: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the mutants that an interrupted run has tried, with their results."""
    for line in kept.read_text(encoding="utf-8").splitlines() if kept and kept.exists() else ():
        result, _, mutant = line.partition("\t")
        yield mutant, result


def _report(results: Mapping[str, list[Mutant]], seeds: list[str]) -> int:
    counts = Counter({result: len(mutants) for result, mutants in results.items()})
    for result in ("survived", "timeout", "accepted"):
        for mutant in results.get(result, ()):
            reason = f" - {len(mutant.tests)} tests of {mutant.seconds:.0f} s"
            reason = f" - {ACCEPTED[mutant.name]}" if result == "accepted" else reason
            print(f"{result}: {mutant}{reason}")
    executed = sum(counts.values())
    judged = executed - counts["timeout"]
    killed = counts["killed"] / max(judged, 1)
    print(
        f"mutants: {executed} executed, {counts['killed']} killed, {counts['timeout']} timeouts, "
        f"{counts['accepted']} accepted, {counts['survived']} survived; "
        f"killed of those without a timeout: {killed:.1%}; seeds {' '.join(seeds)}"
    )
    return 0 if judged and killed >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
