"""What importing costs: ZenML with this package installed, and what a step container imports of it."""

from __future__ import annotations

import os
import resource
import subprocess

from tests.e2e.environments import PythonEnvironment, build_wheel, environment_without_plugin

from benchmarks.bench import Bench
from benchmarks.table import Row, median

#: What a step container imports of ZenML, whatever the stack.
_OF_ZENML = (
    "import zenml.client, zenml.stack, zenml.step_operators, zenml.entrypoints.entrypoint, "
    "zenml.config.step_run_info, zenml.orchestrators.publish_utils"
)
_FLAVORS = "import zenml.integrations.azure.flavors as flavors"
#: The container makes every component of the stack, the step operator too, which it does not use.
_OPERATOR = f"{_FLAVORS}; flavors.AzureMLStepOperatorFlavor().implementation_class"


def measure(bench: Bench) -> list[Row]:
    wheel_folder = bench.folder / "wheel"
    wheel_folder.mkdir()
    build_wheel(wheel_folder)
    (wheel,) = wheel_folder.glob("*.whl")
    without = environment_without_plugin(bench.folder / "without")
    with_ours = environment_without_plugin(bench.folder / "with")
    with_ours.install(wheel)
    added: dict[str, list[float]] = {"builtin": [], "ours": []}
    runs = bench.runs(7)
    for number in range(len(runs) + 1):
        flavors = _timed(without, _FLAVORS)
        found = {"builtin": _timed(without, _OPERATOR) - flavors, "ours": _timed(with_ours, _OPERATOR) - flavors}
        for kind, values in added.items():
            if number:  # the first, which compiles, does not count
                values.append(found[kind])
    ours, theirs = median(added["ours"]), median(added["builtin"])
    ratio, pairs = _ratio(with_ours, without, len(bench.runs(25)))
    return [
        Row(
            f"import in the step container, on top of ZenML (median of {len(runs)})",
            f"{theirs:.2f} s",
            f"{ours:.3f} s",
            "at most 0.1 s",
            ours <= 0.1,
        ),
        Row(
            f"`import zenml` with the package installed, processor time, against without it ({pairs} pairs, median)",
            "1",
            f"{ratio:.3f}",
            "at most 1.01",
            ratio <= 1.01,
        ),
    ]


def _ratio(with_ours: PythonEnvironment, without: PythonEnvironment, pairs: int) -> tuple[float, int]:
    ratios = []
    for number in range(pairs + 1):
        # In turns, so that what changes with time changes neither.
        order = (with_ours, without) if number % 2 else (without, with_ours)
        took = {one.folder: _processor_time(one, "import zenml") for one in order}
        if number:
            ratios.append(took[with_ours.folder] / took[without.folder])
    return median(ratios), pairs


def _timed(environment: PythonEnvironment, code: str) -> float:
    """Seconds that code takes in a new interpreter that has imported ZenML."""
    lines = [_OF_ZENML, "import time", "began = time.perf_counter()", code, "print(time.perf_counter() - began)"]
    return float(_run(environment, "\n".join(lines)))


def _processor_time(environment: PythonEnvironment, code: str) -> float:
    """Seconds of processor time that a new interpreter takes for code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(environment, code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(environment: PythonEnvironment, code: str) -> str:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables["PYTHONHASHSEED"] = "0"  # the same work each time
    command = [str(environment.python), "-c", code]
    done = subprocess.run(command, env=variables, cwd=environment.folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.rpartition("\n")[0].rpartition("\n")[2]
