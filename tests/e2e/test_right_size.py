"""What a step has used, from its job to ZenML's metadata, the client's last line and the commands."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from tests.e2e.conftest import Project
from tests.e2e.killed import jobs_of
from zenml_azureml.contract.usage import MARK
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.runtimes.base import Runtime
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def runtime_of_jobs() -> Runtime:
    """The sampler, and what it samples, are those of a Python of its own."""
    return ProcessRuntime()


PIPELINE = """
import json, sys, time
from pathlib import Path

sampling = sys.argv[1] == "sampled"
settings = {{"step_operator": AzureMLStepOperatorSettings(instance_type="Standard_E16s_v3", sampling=sampling)}}

@step(step_operator="azureml", settings=settings)
def train(sampling: bool) -> None:
    print("training", flush=True)
    block = bytearray(300_000_000)
    block[::4096] = b"x" * len(block[::4096])
    deadline = time.monotonic() + 60
    while sampling and time.monotonic() < deadline:
        logs = "".join(log.read_text() for log in Path({jobs!r}).rglob("std_log*.txt"))
        reports = [json.loads(line.partition({mark!r})[2]) for line in logs.splitlines() if {mark!r} in line]
        if any(report["memory"]["peak"] > 0.28 and "cpu" in report for report in reports):
            break
        time.sleep(0.1)
    print("trained", flush=True)

@pipeline(enable_cache=False, settings=NO_BUILD)
def training():
    train(sampling)

if __name__ == "__main__":
    training()
    print("USAGE", json.dumps(last_run().steps["train"].run_metadata.get("azureml_usage")))
"""


def script(jobs: Emulator) -> str:
    return PIPELINE.format(jobs=str(jobs.context.folder / "jobs"), mark=MARK)


def peak_in(line: str) -> float:
    """The peak of memory that a line names, in GB."""
    match = re.search(r"peak ([0-9.]+) ", line)
    assert match is not None, line
    return float(match[1])


@pytest.mark.long
def test_the_use_of_a_step_is_in_its_metadata_and_the_last_line_names_a_cheaper_size(
    project: Project, jobs: Emulator
) -> None:
    output = project.succeed(script(jobs), "sampled")

    (line,) = [line for line in output.splitlines() if "Use of step `train`: " in line]
    assert 0.28 <= peak_in(line) < 0.6
    assert " would do, about " in line
    assert " USD less per hour." in line
    assert output.index(line) > output.index("[train] trained")
    usage = json.loads(next(line for line in output.splitlines() if line.startswith("USAGE ")).removeprefix("USAGE "))
    assert usage["memory"]["peak"] > 0.28
    assert usage["cpu"].keys() == {"peak", "mean", "limit", "seconds_at_limit"}
    # The report is in the job's log, and no client shows it.
    (job,) = jobs_of(jobs)
    assert MARK in "".join(log.read_text() for log in (jobs.context.folder / "jobs").rglob("std_log*.txt"))
    assert MARK not in output
    assert MARK not in project.azureml("jobs", "logs", job.name).stdout
    # The commands.
    shown = project.azureml("jobs", "show", job.name)
    (use,) = [shown_line for shown_line in shown.stdout.splitlines() if shown_line.startswith("Use ")]
    assert peak_in(use) == peak_in(line)
    plot = ElementTree.fromstring(project.azureml("jobs", "show", job.name, "--plot").stdout)
    assert {"CPU", "Memory", "Disk"} <= {element.text for element in plot.iter(f"{SVG}text")}
    size = line.partition(" would do, about ")[0].rpartition(" ")[2]
    for step in ("train", "training.train"):
        advice = json.loads(project.azureml("sizes", "--for", step, "--json").stdout)
        assert (advice["size"], advice["cheaper_size"], advice["larger_size"]) == ("Standard_E16s_v3", size, None)
        assert [run["status"] for run in advice["runs"]] == ["completed"]
    table = project.azureml("sizes", "--for", "train")
    assert "1 run on Standard_E16s_v3: peak 0." in table.stdout, table.stdout + table.stderr
    unknown = project.azureml("sizes", "--for", "other.train")
    assert unknown.returncode == 1
    assert "ZenML's server has no run of a step `other.train`" in unknown.stderr


@pytest.mark.long
def test_without_sampling_there_is_nothing_of_it(project: Project, jobs: Emulator) -> None:
    output = project.succeed(script(jobs), "plain")

    assert "USAGE null" in output
    assert "Use of step" not in output
    assert MARK not in "".join(log.read_text() for log in (jobs.context.folder / "jobs").rglob("std_log*.txt"))
    (job,) = jobs_of(jobs)
    assert "in_job" not in job.properties["command"]
    plot = project.azureml("jobs", "show", job.name, "--plot")
    assert (plot.returncode, plot.stdout) == (1, "")
    assert "has not reported its resource use" in plot.stderr
