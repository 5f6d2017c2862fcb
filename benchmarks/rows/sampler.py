"""The processor time that the sampler takes beside a step, in the first minute, when it samples most often."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil

from benchmarks.bench import Bench
from benchmarks.table import Row

_SECONDS = 60

#: The variables of a job that is sampled, and that polls no server.
_SAMPLED = {"ZENML_AZUREML_JOB_SAMPLING": "1", "ZENML_AZUREML_JOB_STEP_RUN_ID": "bench"}


def measure(bench: Bench) -> list[Row]:
    seconds = 3 if bench.quick else _SECONDS
    share, kilobytes = _beside_a_step(seconds)
    return [
        Row(
            f"processor time of the sampler, share of one core, over the first {seconds} s (1 run)",
            "",
            f"{share:.2%}",
            "at most 1 %",
            share <= 0.01,
        ),
        Row("memory of the sampler's process", "", f"{kilobytes / 1024:.0f} MB"),
    ]


def _beside_a_step(seconds: int) -> tuple[float, float]:
    variables = {"PATH": os.environ["PATH"], **_SAMPLED}
    command = [sys.executable, "-m", "zenml_azureml.in_job", "sleep", str(seconds + 60)]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE) as step:
        assert step.stdout is not None
        try:
            step.stdout.readline()  # the first report: everything is imported
            sampler = _sampler_of(step.pid)
            before, began = _processor_time(sampler), time.monotonic()
            time.sleep(seconds)
            used, lasted = _processor_time(sampler) - before, time.monotonic() - began
            kilobytes = sampler.memory_full_info().uss / 1024
        finally:
            step.kill()
    return used / lasted, kilobytes


def _sampler_of(step: int) -> psutil.Process:
    """The sampler of a step: it began after the step, with the step's environment."""
    own = {process.pid: process for process in psutil.process_iter() if process.name() == "zenml-watcher"}
    started = psutil.Process(step).create_time()
    return min(own.values(), key=lambda process: abs(process.create_time() - started))


def _processor_time(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
