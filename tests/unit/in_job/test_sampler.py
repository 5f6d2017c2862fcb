"""The sampler beside a step, with real processes: what it reports, and that the step sees nothing of it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.waiting import eventually
from tests.older_version import extract_older_version
from tests.unit.in_job.answering import STEP_RUN, answering, entity
from zenml_azureml.contract import variables
from zenml_azureml.contract.commands import prepared, unprepared
from zenml_azureml.contract.own_end import EXIT_CODES
from zenml_azureml.contract.usage import CPU, GPU, GPU_MEMORY, MARK, MEMORY, Usage, usage_from, without_report

IN_JOB = (sys.executable, "-m", "zenml_azureml.in_job")
SAMPLED = {variables.SAMPLING: "1", variables.STEP_RUN_ID: STEP_RUN}

#: A step that needs 80 MB, and ends with its input.
STEP = """
import sys
block = bytearray(80_000_000)
block[::4096] = b"x" * len(block[::4096])
print("ready", flush=True)
sys.stdin.read()
print("end", flush=True)
sys.exit(7)
"""


def start(environment: Mapping[str, str], code: str = STEP, log: Path | None = None) -> subprocess.Popen[str]:
    """Start a step, with its output in a pipe or a file."""
    return subprocess.Popen(
        [*IN_JOB, sys.executable, "-c", textwrap.dedent(code)],
        env={"PATH": "/usr/bin:/bin", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if log is None else log.open("a"),
        stderr=subprocess.PIPE,
        text=True,
    )


def usage_after(step: subprocess.Popen[str], *, ready: bool = True) -> Usage:
    """Wait for a report about the running step that knows its rates."""
    assert step.stdout is not None
    seen_ready = not ready
    for line in iter(step.stdout.readline, ""):
        rest, usage = without_report(line.rstrip("\n"))
        seen_ready = seen_ready or rest == "ready"
        if seen_ready and usage is not None and CPU in usage.metrics and (usage.peak(MEMORY) or 0) > 0.07:
            return usage
    raise AssertionError(f"the step has ended without a report: {step.communicate()}")


def rest_of(step: subprocess.Popen[str]) -> tuple[list[str], str]:
    """End the step; the rest of its output without reports, and its errors."""
    output, errors = step.communicate(timeout=60)
    lines = [without_report(line)[0] for line in output.splitlines()]
    return [line for line in lines if line is not None], errors


def test_a_step_without_a_server_reports_its_use_in_its_log() -> None:
    step = start(SAMPLED)

    usage = usage_after(step)

    assert 0.07 < (usage.peak(MEMORY) or 0) < 1
    assert usage.metrics[CPU].limit == len(os.sched_getaffinity(0))
    assert (usage.node, usage.nodes, usage.gpus) == (0, 1, 0)
    assert rest_of(step) == (["end"], "")
    assert step.returncode == 7


def test_the_step_sees_nothing_of_it(tmp_path: Path) -> None:
    code = """
    import json, os, signal, sys
    print("ready", flush=True)
    try:
        os.waitpid(-1, os.WNOHANG)
        children = True
    except ChildProcessError:
        children = False
    handled = {n: str(signal.getsignal(n)) for n in sorted(signal.valid_signals()) if n not in (9, 19)}
    print(json.dumps([os.getpid(), os.getpgid(0), os.getsid(0), os.nice(0), children, handled, sorted(os.environ),
        sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1], os.getcwd(), signal.pthread_sigmask(0, []) == set()
    ]), flush=True)
    block = bytearray(80_000_000)
    block[::4096] = b"x" * len(block[::4096])
    sys.stdin.read()
    """
    plain = start({}, code)
    assert plain.stdout is not None
    assert plain.stdout.readline() == "ready\n"
    without = json.loads(plain.stdout.readline())
    plain.communicate(timeout=60)
    sampled = start(SAMPLED, code)
    assert sampled.stdout is not None
    with_it = json.loads(next(line for line in iter(sampled.stdout.readline, "") if line.startswith("[")))
    usage_after(sampled, ready=False)

    assert with_it[0] == sampled.pid
    assert without[0] == plain.pid
    assert with_it[3:] == without[3:]
    assert rest_of(sampled) == ([], "")
    assert sampled.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_signals_end_the_step_as_ever_and_the_sampler_with_it(number: int) -> None:
    step = start(SAMPLED, STEP.replace("import sys", "import signal, sys\nsignal.signal(2, signal.SIG_DFL)"))
    usage_after(step)

    step.send_signal(number)
    output, errors = step.communicate(timeout=60)  # which waits for all that hold these pipes

    assert (step.returncode, errors) == (-number, "")
    assert "end" not in output


def test_it_posts_to_the_server_of_the_job_with_its_token() -> None:
    with answering() as server:
        server.answers[f"steps/{STEP_RUN}"] = 200, entity(STEP_RUN, "running", project_id="the-project")
        step = start({**server.variables(), **SAMPLED, variables.STOP_CHECK_SECONDS: "0"})
        usage_after(step)
        with server.arrived:
            assert server.arrived.wait_for(lambda: server.posted, timeout=60)
        rest_of(step)

    path, body = server.posted[-1]
    assert path == "run-metadata"
    assert body["project"] == "the-project"
    assert body["resources"] == [{"id": STEP_RUN, "type": "step_run"}]
    # The operator saves its summary under another key: the later of two requests replaces what the first has saved.
    assert body["types"] == {"azureml_usage_node_0": "dict"}
    usage = usage_from(body["values"]["azureml_usage_node_0"])
    assert usage is not None
    assert MEMORY in usage.metrics
    assert all(headers["Authorization"] == "Bearer token" for _, _, _, headers in server.asked)
    # The project is asked for once.
    assert [path for method, path, _, _ in server.asked if method == "GET"] == [f"/api/v1/steps/{STEP_RUN}"]


@pytest.mark.parametrize("answer", [(401, {}), (500, {}), (200, [])], ids=["refused", "broken", "something else"])
def test_a_server_that_does_not_take_it_changes_nothing(answer: tuple[int, Any]) -> None:
    with answering() as server:
        server.answers[f"steps/{STEP_RUN}"] = answer
        step = start({**server.variables(), **SAMPLED, variables.STOP_CHECK_SECONDS: "0"})
        usage_after(step)

        assert rest_of(step) == (["end"], "")
        assert step.returncode == 7
        assert server.posted == []


def test_it_runs_beside_the_watcher_which_still_ends_the_step() -> None:
    with answering() as server:
        server.step_is("running")
        step = start(
            {**server.variables(), **SAMPLED}, STEP.replace("sys.stdin.read()", "import time; time.sleep(3600)")
        )
        usage_after(step)
        server.step_is("stopped")
        output, errors = step.communicate(timeout=60)

    assert step.returncode in EXIT_CODES
    assert "its step run is stopped" in errors
    assert MARK not in errors
    assert "end" not in output.splitlines()


def test_one_process_of_a_node_samples_all_of_them(tmp_path: Path) -> None:
    node = {"TMPDIR": str(tmp_path), "AZUREML_RUN_ID": "zenml-1", variables.SHARED_NODE: "1"}
    node |= {"AZUREML_CR_NODE_RANK": "1", "AZUREML_NODE_COUNT": "2"}
    logs = [tmp_path / f"log_{number}" for number in range(3)]
    ranks = [start({**SAMPLED, **node}, log=log) for log in logs]

    def reporting() -> list[int]:
        """The ranks that have reported the 80 MB of all three."""
        found = []
        for number, log in enumerate(logs):
            usages = [usage for line in log.read_text().splitlines() if (usage := without_report(line)[1])]
            assert all((usage.node, usage.nodes) == (1, 2) for usage in usages)
            if any((usage.peak(MEMORY) or 0) > 0.22 for usage in usages):
                found.append(number)
        return found

    (first,) = eventually(reporting, seconds=60)
    assert [number for number, log in enumerate(logs) if MARK in log.read_text()] == [first]
    for rank in ranks:
        rank.communicate(timeout=60)


def test_the_gpus_of_the_node_are_in_the_report(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, Tesla T4, 23, 5120, 16384'\nexec sleep 3600\n")
    program.chmod(0o755)
    step = start({**SAMPLED, "PATH": f"{tmp_path}:/usr/bin:/bin"})
    usage = usage_after(step)
    while GPU not in usage.metrics:
        usage = usage_after(step, ready=False)

    assert (usage.gpus, usage.gpu_name, usage.peak(GPU), usage.peak(GPU_MEMORY)) == (1, "Tesla T4", 23, 5)
    assert rest_of(step) == (["end"], "")


# The command of a job


def test_a_job_that_is_only_sampled_has_the_prefix_and_its_own_command_is_found_again() -> None:
    command = prepared("python -m zenml.entrypoints.entrypoint", {variables.SAMPLING: "1"})

    assert command.endswith(" python -m zenml.entrypoints.entrypoint")
    assert "in_job.sampler" in command
    assert unprepared(command) == "python -m zenml.entrypoints.entrypoint"
    # Only a shell can run these.
    assert prepared("exit 7", {variables.SAMPLING: "1"}) == "exit 7"
    assert prepared("A=1 python x.py", {variables.SAMPLING: "1"}) == "A=1 python x.py"


@pytest.fixture(scope="module")
def older_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a `python` that has the package as it was at an older commit."""
    folder = tmp_path_factory.mktemp("image")
    extract_older_version(folder)
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder / "src"} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python.parent


@pytest.mark.parametrize("more", [{}, {variables.RANKS: "1"}], ids=["one process", "ranks"])
def test_an_older_image_runs_the_step_without_a_sampler(older_image: Path, more: dict[str, str]) -> None:
    code = "import json, os, sys; print(json.dumps([sorted(os.environ), sys.argv[1:]])); sys.exit(7)"
    step = shlex.join(["python", "-c", code, "two  words", "$HOME"])
    environment = {**SAMPLED, **more, "MINE": "kept", "HOME": str(older_image)}
    done = subprocess.run(
        ["/bin/bash", "-c", prepared(step, environment)],
        env={"PATH": f"{older_image}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (7, "")
    names, arguments = json.loads(done.stdout)
    assert arguments == ["two  words", "$HOME"]
    assert "MINE" in names
    # Where nothing of it runs, the variables stay: they are not secret.
    assert more == {} or not [name for name in names if name.startswith(variables.PREFIX)]


def test_an_image_without_python_runs_the_step(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", prepared("echo 'it runs'", SAMPLED)],
        env={"PATH": str(tmp_path), **SAMPLED},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "it runs\n", "")
