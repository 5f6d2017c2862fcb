"""The same pipelines with ZenML's built-in operator and with ours, in real containers: what comes of them.

`make compare-docker` runs it and prints the tables of docs/built-in.md.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential
from tests.docker.parts import a_team_in
from tests.docker.team import Run, Team
from tests.e2e.environments import environment_without_plugin

from zenml_azureml.emulator.local import shell_env

#: Seconds after a stop at which we look at what is left.
AFTER_STOP = 30


@dataclass
class Operator:
    """One of the two, and what it did.

    Attributes:
        team: The team whose client has it.
        client: The SDK, on the one workspace.
        cells: What came of each pipeline.
        to_first_line: Seconds from a container's start to the first line of the user's step.
        modules: How many modules of azure-ai-ml the process of such a step had imported by then.
    """

    team: Team
    client: MLClient
    cells: dict[str, str] = field(default_factory=dict)
    to_first_line: list[float] = field(default_factory=list)
    modules: list[int] = field(default_factory=list)

    def run(self, pipeline: str) -> tuple[Run, list[Any]]:
        """Run a pipeline; the run, and the jobs that it made."""
        before = {job.name for job in self.client.jobs.list()}
        run = self.team.run(pipeline)
        for step in run.steps.values():
            found = step["outputs"].get("output")
            if isinstance(found, dict):  # what a step found in its container is what it returned
                self.to_first_line.append(found["seconds_to_first_line"])
                self.modules.append(len(found["modules_at_first_line"]))
        return run, [job for job in self.client.jobs.list() if job.name not in before]


def _yes(what: str, so: object) -> str:
    return what if so else f"no {what}"


def static(operator: Operator) -> str:
    """What a user sees of a step that works."""
    run, _ = operator.run("static")
    train = run.steps["train"]
    parts = [
        run.status,
        _yes("log in the terminal", "trained on 3 numbers" in run.output),
        _yes("Studio link in the metadata", "azureml_studio_url" in train["metadata"]),
    ]
    return ", ".join(parts)


def mapped(operator: Operator) -> str:
    """20 steps at once."""
    run, jobs = operator.run("mapped")
    return f"{run.status}, {sum(job.status == 'Completed' for job in jobs)} of 20 jobs completed"


def commands(operator: Operator) -> str:
    """A command step."""
    run, _ = operator.run("commands")
    return f"{run.status}, {_yes('log in the terminal', 'said by a command' in run.output)}"


def own_image(operator: Operator) -> str:
    """A step with an image of its own."""
    run, _ = operator.run("own_image")
    return f"{run.status}, {_found_its_own(run)}"


def dynamic_own_image(operator: Operator) -> str:
    """The same in a dynamic pipeline."""
    run, _ = operator.run("dynamic_own_image")
    return f"{run.status}, {_found_its_own(run)}"


def _found_its_own(run: Run) -> str:
    return _yes("requirement in its image", run.steps["special"]["outputs"]["output"]["only_in_its_own_image"])


def gpu(operator: Operator) -> str:
    """A step that asks for a GPU."""
    run, (job,) = operator.run("gpu")
    size = job.resources.instance_type if job.resources else None
    return f"{run.status}, VM size {f'`{size}`' if size else 'not chosen: the default of Azure ML'}"


def fails(operator: Operator) -> str:
    """A step that raises."""
    run, _ = operator.run("fails")
    parts = [
        run.status,
        _yes("traceback in the terminal", "ValueError: The learning rate is negative." in run.output),
        _yes("link to the job beside it", "Studio: https://" in run.output),
        _yes("exception on the server", run.steps["failing"]["exception"]),
    ]
    return ", ".join(parts)


def cancelled(operator: Operator) -> str:
    """`zenml pipeline runs stop --graceful` while the step runs."""
    team = operator.team
    before = {job.name for job in operator.client.jobs.list()}
    zenml = Path(team.project.python).parent / "zenml"
    running = subprocess.Popen(
        [zenml, "pipeline", "run", "pipelines.cancelled"],
        cwd=team.project.folder,
        env=team.project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def running_jobs() -> list[str]:
        jobs = operator.client.jobs.list()
        return [job.name for job in jobs if job.name not in before and job.status == "Running"]

    try:
        while not running_jobs():
            time.sleep(1)
        time.sleep(10)  # until its process has begun
        (run,) = team.server.get("runs", status="running", sort_by="desc:created", size="1")["items"]
        team.zenml("pipeline", "runs", "stop", run["id"], "--graceful", "--yes")
        time.sleep(AFTER_STOP)
        (name,) = (job.name for job in operator.client.jobs.list() if job.name not in before)
        status = str(operator.client.jobs.get(name).status.value)
        if status == "Running":
            operator.client.jobs.begin_cancel(name).result()
        return f"job {status} {AFTER_STOP} s later"
    finally:
        running.terminate()
        running.wait(timeout=120)


PIPELINES: dict[str, Callable[[Operator], str]] = {
    "static": static,
    "dynamic, 20 mapped steps": mapped,
    "command step": commands,
    "step with an image of its own": own_image,
    "the same, dynamic with `depends_on`": dynamic_own_image,
    "`ResourceSettings(gpu_count=1)`": gpu,
    "step that raises an exception": fails,
    "run that is stopped": cancelled,
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [list(head), *([*row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(built_in: Operator, ours: Operator) -> str:
    """The tables."""
    results = table(
        ("pipeline", "ZenML's built-in operator", "this one"),
        ((name, built_in.cells[name], ours.cells[name]) for name in PIPELINES),
    )

    def measured(name: str, operator: Operator) -> list[str]:
        seconds = operator.to_first_line
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}, {len(seconds)} steps"
        return [name, f"{statistics.median(seconds):.1f} s ({spread})", str(max(operator.modules))]

    ratio = statistics.median(built_in.to_first_line) / statistics.median(ours.to_first_line)
    times = table(
        ("operator", "start to first line, median", "modules of `azure.ai.ml` by then"),
        (measured("ZenML's built-in", built_in), measured("this one", ours)),
    )
    memory = psutil.virtual_memory().total / 1024**3
    machine = (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, Python {platform.python_version()}, "
        f"ZenML {version('zenml')}, azure-ai-ml {version('azure-ai-ml')}"
    )
    return f"{results}\n\n{times}\n\nRatio: {ratio:.2f}. Machine: {machine}.\n"


def main() -> None:
    """Run everything, the two operators in turns, and print the tables."""
    with tempfile.TemporaryDirectory() as name, a_team_in(Path(name)) as team:
        # From now on this process' SDK talks to the emulator.
        os.environ |= shell_env.variables(team.emulator, team.emulator.ca_bundle, {})
        options = team.emulator.options
        client = MLClient(
            DefaultAzureCredential(), options.subscription_id, options.resource_group, options.workspace_name
        )
        without_plugin = environment_without_plugin(Path(name) / "without-plugin")
        built_in = Operator(team.with_client(without_plugin.python), client)
        ours = Operator(team, client)
        for pipeline, run in PIPELINES.items():
            for operator in (built_in, ours):
                operator.cells[pipeline] = run(operator)
                print(f"{pipeline}: {operator.cells[pipeline]}", file=sys.stderr, flush=True)
        print(report(built_in, ours))


if __name__ == "__main__":
    main()
