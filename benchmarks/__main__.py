"""Our step operator beside ZenML's built-in one, on one emulator, in one run: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import machine
from benchmarks.bench import Bench
from benchmarks.emulator_process import EmulatorProcess
from benchmarks.home import make_home, set_environment
from benchmarks.table import Row, markdown

RESULTS = Path(__file__).parent / "results"

Measure = Callable[[Bench], list[Row]]


def main() -> int:
    """Measure, print the table, and write it; 0 if every target is met."""
    options = _options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zenml-azureml-bench-") as name:
        folder = Path(name).resolve()
        emulator = EmulatorProcess(folder / "emulator")
        try:
            set_environment(folder, emulator.variables)
            make_home(folder)
            rows = _measure(Bench(emulator, folder, options.quick), options.only)
        finally:
            emulator.close()
    title = f"Measured on {datetime.now(timezone.utc):%Y-%m-%d} in {(time.monotonic() - began) / 60:.0f} minutes."
    if options.quick:
        title = "Not measured: this was a quick run, to see that everything works."
    text = f"{title}\n\n{markdown(rows)}\n\n{machine.describe()}\n"
    print(text)
    if not (options.quick or options.only):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "latest.md").write_text(text)
    return 0 if all(row.met is not False for row in rows) or options.quick else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measures this package beside the built-in.")
    parser.add_argument("--quick", action="store_true", help="only see that everything works; the numbers mean nothing")
    parser.add_argument("--only", default="", help="only the measurements whose names contain this")
    return parser.parse_args()


def _measure(bench: Bench, only: str) -> list[Row]:
    # Imported now: ZenML reads its environment when it is imported.
    from benchmarks.rows import (
        cancel,
        dynamic,
        emulator_speed,
        emulator_work,
        imports,
        logs,
        noticing,
        polling,
        sampler,
        submit,
        waiting,
    )

    quiet: list[tuple[str, Measure]] = [
        ("emulator", emulator_speed.measure),
        ("emulator-start", emulator_work.measure_start),
        ("emulator-job", emulator_work.measure_job),
        ("emulator-many", emulator_work.measure_many),
        ("emulator-transfer", emulator_work.measure_transfer),
        ("emulator-memory", emulator_work.measure_memory),
        ("imports", imports.measure),
        ("submit", submit.measure),
        ("polling", polling.measure),
        ("sampler", sampler.measure),
    ]
    # Those of the second list spend their time waiting, as those of the first do.
    side_by_side: tuple[list[tuple[str, Measure]], list[tuple[str, Measure]]] = (
        [("noticing", noticing.measure)],
        [
            ("requests", waiting.measure_requests),
            ("cancel", cancel.measure),
            ("logs", logs.measure),
            ("memory", waiting.measure_memory),  # last: it switches the limits off
        ],
    )
    last: list[tuple[str, Measure]] = [("dynamic", dynamic.measure)]
    rows = _one_after_the_other(bench, quiet, only)
    with ThreadPoolExecutor(2) as threads:
        for found in threads.map(lambda some: _one_after_the_other(bench, some, only), side_by_side):
            rows += found
    return rows + _one_after_the_other(bench, last, only)


def _one_after_the_other(bench: Bench, some: Sequence[tuple[str, Measure]], only: str) -> list[Row]:
    rows = []
    for name, measure in some:
        if only in name:
            began = time.monotonic()
            try:
                rows += measure(bench)
            except Exception as error:  # noqa: BLE001 - the other measurements count all the same
                traceback.print_exc()
                rows.append(Row(name, "", f"not measured: {type(error).__name__}: {error}"[:200], "", met=False))
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return rows


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # some jobs are waited for by nobody: there is nothing to end them on any more
