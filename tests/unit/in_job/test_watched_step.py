"""What a step sees of itself and around it, with a watcher and without one: nothing may differ."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.waiting import eventually
from tests.unit.in_job.answering import STEP_RUN, Answering, answering
from tests.unit.in_job.test_watcher import watchers_of
from zenml_azureml.contract.own_end import reason_in

IN_JOB = (sys.executable, "-m", "zenml_azureml.in_job")

#: A namespace of process numbers in which the step is the first process, as in many containers.
FIRST = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root may make a namespace of process numbers"
)


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering() as server:
        server.step_is("running")
        yield server


@dataclass(frozen=True)
class Run:
    """What came of a step."""

    exit_code: int
    output: str
    errors: str


def environment(server: Answering, *, watched: bool) -> dict[str, str]:
    variables = server.variables() if watched else {}
    return {"PATH": "/usr/bin:/bin", **variables}


def run(server: Answering, command: Sequence[str], *, watched: bool, before: Sequence[str] = ()) -> Run:
    done = subprocess.run(
        [*before, *IN_JOB, *command],
        env=environment(server, watched=watched),
        input="line of input\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


#: What a step may look at, by what it is about. Each prints nothing that differs from one run to the next.
STEPS = {
    "exit code": ("sh", "-c", "exit 7"),
    "exit code 0": ("true",),
    "exit code above 128": ("sh", "-c", "exit 178"),
    "killed": ("sh", "-c", "kill -9 $$"),
    "terminated": ("sh", "-c", "kill -15 $$"),
    "no such program": ("no-such-program",),
    "standard streams": ("sh", "-c", "cat; echo error >&2"),
    "descriptors": ("sh", "-c", "ls -l /proc/self/fd | sed 's/.*[0-9] //; s/[0-9][0-9]*/N/g'"),
    "process group and session": (
        "python",
        "import os; print([os.getpgid(0) == os.getppid(), os.getpgid(0) == os.getpgid(os.getppid()), "
        "os.getsid(0) == os.getsid(os.getppid()), os.getpid() == os.getpgid(0)])",
    ),
    "signals": (
        "python",
        "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))), "
        "sorted(map(int, signal.sigpending())), [str(signal.getsignal(n)) for n in range(1, 65) if n not in (32, 33)])",
    ),
    "dispositions": ("sh", "-c", "grep -E '^Sig(Blk|Ign|Cgt)|^ShdPnd|^SigPnd' /proc/self/status"),
    "no child to wait for": (
        "python",
        "import os\ntry: print(os.waitpid(-1, os.WNOHANG))\nexcept ChildProcessError as error: print(error)",
    ),
    "no child at all": ("python", "print(open('/proc/self/task/%d/children' % __import__('os').getpid()).read())"),
    "waits for its own only": (
        "python",
        "import os\npid = os.fork() or os._exit(3)\nfound, status = os.wait()\n"
        "print(found == pid, os.waitstatus_to_exitcode(status))\n"
        "try: os.wait()\nexcept ChildProcessError as error: print(error)",
    ),
    "working directory and name": ("sh", "-c", "pwd; cat /proc/$$/comm; tr '\\0' ' ' < /proc/$$/cmdline"),
    "limits": ("sh", "-c", "ulimit -a; umask; cat /proc/$$/oom_score_adj; nice"),
    "environment": ("env",),
    "threads": ("python", "import os; print(len(os.listdir('/proc/self/task')))"),
}


def command_of(name: str) -> list[str]:
    program, *arguments = STEPS[name]
    return [sys.executable, "-c", *arguments] if program == "python" else [program, *arguments]


@pytest.mark.parametrize("name", STEPS)
def test_a_step_sees_what_it_sees_without_a_watcher(server: Answering, name: str) -> None:
    command = command_of(name)

    watched, alone = (run(server, command, watched=watched) for watched in (True, False))

    if name == "environment":  # what the watcher needs of ZenML's own is there anyhow
        lines = [line for line in watched.output.splitlines(keepends=True) if not line.startswith("ZENML_STORE_")]
        watched = Run(watched.exit_code, "".join(lines), watched.errors)
    assert watched == alone


#: What the first process of a container cannot have as without a watcher is left out: see docs/jobs.md.
SEEN_OF_FIRST = [name for name in STEPS if name not in ("environment", "no child at all", "killed", "terminated")]


@namespaces
@pytest.mark.parametrize("name", SEEN_OF_FIRST)
def test_the_first_process_of_a_container_sees_the_same(server: Answering, name: str) -> None:
    command = command_of(name)

    assert run(server, command, watched=True, before=FIRST) == run(server, command, watched=False, before=FIRST)


@namespaces
def test_the_first_process_of_a_container_ends_if_it_handles_a_signal(server: Answering) -> None:
    server.step_is("stopped")
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(3600)"  # with Python's handler for SIGINT

    done = run(server, [sys.executable, "-c", code], watched=True, before=FIRST)

    assert done.output == "1\n"
    assert "KeyboardInterrupt" in done.errors
    assert [reason_in(line) for line in done.errors.splitlines() if reason_in(line)] == ["its step run is stopped"]
    assert done.exit_code != 0


@namespaces
def test_the_first_process_of_a_container_that_handles_none_is_said_to_run_on(server: Answering) -> None:
    server.step_is("stopped")
    step = subprocess.Popen(
        [*FIRST, *IN_JOB, "sleep", "3600"],
        env=environment(server, watched=True),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert step.stderr is not None
    lines = iter(step.stderr.readline, "")

    assert any("its step run is stopped" in line for line in lines)
    assert any("The step's process has not ended: the kernel protects" in line for line in lines)
    step.kill()  # and with it all of its namespace
    step.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_its_process_number_ends_the_step(server: Answering, number: signal.Signals) -> None:
    codes = []
    for watched in (True, False):
        step = start(server, "sh", "-c", "echo $$; exec sleep 3600", watched=watched)
        assert step.stdout is not None
        assert int(step.stdout.readline()) == step.pid
        step.send_signal(number)
        try:
            codes.append(step.wait(timeout=60))
        finally:
            step.kill()
            step.communicate()
    assert codes == [-number, -number]


def test_a_signal_to_its_process_group_reaches_the_step_only(server: Answering) -> None:
    """Ctrl+C in a terminal, or what the emulator and `timeout` do."""
    code = "import os, signal, time\nsignal.signal(2, lambda *_: (os.write(1, b'interrupted\\n'), os._exit(5)))\n"
    step = start(server, sys.executable, "-c", f"{code}print(1, flush=True)\ntime.sleep(3600)", watched=True)
    assert step.stdout is not None
    step.stdout.readline()
    os.killpg(step.pid, signal.SIGINT)

    output, errors = step.communicate(timeout=60)

    assert (step.returncode, output, errors) == (5, "interrupted\n", "")


@pytest.mark.parametrize("end", ["exit 0", "exit 1", "kill -9 $$", "exec sleep 0"])
def test_the_watcher_ends_with_the_step_and_keeps_no_pipe_open(server: Answering, end: str) -> None:
    # Between two polls, which are an hour apart.
    step = start(server, "sh", "-c", f"echo; read line; {end}", watched=True, seconds="3600", stdin=subprocess.PIPE)
    assert step.stdout is not None
    step.stdout.readline()
    eventually(lambda: len(watchers_of(server)) == 1)

    step.communicate("go\n", timeout=60)  # until both pipes are at their end

    assert eventually(lambda: watchers_of(server) == [])


def test_the_watcher_ends_with_the_step_while_it_waits_for_an_answer(server: Answering) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server.url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        step = start(server, "sh", "-c", "read line", watched=True, stdin=subprocess.PIPE)
        silent.settimeout(60)
        connection, _ = silent.accept()  # it asks, and will wait for half a minute

        step.communicate("go\n", timeout=60)

        assert eventually(lambda: watchers_of(server) == [])
        connection.close()


def test_the_watcher_ends_with_a_step_that_nobody_has_waited_for_yet(server: Answering) -> None:
    step = start(server, "sh", "-c", "echo; read line", watched=True, seconds="3600", stdin=subprocess.PIPE)
    assert step.stdout is not None
    assert step.stdin is not None
    step.stdout.readline()
    step.stdin.write("go\n")
    step.stdin.close()

    assert eventually(lambda: watchers_of(server) == [])  # while its parent has a zombie
    assert step.wait() == 0
    step.stdout.close()


def test_a_step_that_forks_and_ends_is_not_followed(server: Answering) -> None:
    """A process that outlives the step is none of the watcher's, whatever its number becomes."""
    step = start(server, "sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $!", watched=True, seconds="3600")
    output, _ = step.communicate(timeout=60)

    assert eventually(lambda: watchers_of(server) == [])
    os.kill(int(output), signal.SIGKILL)


def test_the_log_of_the_job_is_as_without_a_watcher(server: Answering) -> None:
    code = textwrap.dedent(
        """
        import json, os, stat, sys
        print(json.dumps([stat.S_IFMT(os.fstat(number).st_mode) for number in (0, 1, 2)]))
        print(os.get_blocking(1), os.get_blocking(2))
        """
    )
    server.wait_for(0)

    watched, alone = (run(server, [sys.executable, "-c", code], watched=watched) for watched in (True, False))

    assert watched == alone
    assert json.loads(watched.output.splitlines()[0])
    assert all(path.endswith(STEP_RUN) for _, path, _, _ in server.asked if "/steps/" in path)


def test_the_step_is_ended_and_no_other_process_of_its_group(server: Answering, tmp_path: Path) -> None:
    server.step_is("stopped")
    script = f"sleep 3600 & echo $!; {' '.join(IN_JOB)} sleep 3600; echo code $?"
    shell = subprocess.Popen(
        ["/bin/bash", "-c", script],
        env=environment(server, watched=True),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    )
    assert shell.stdout is not None
    sibling = int(shell.stdout.readline())

    assert shell.stdout.readline() == "code 178\n"
    os.kill(sibling, signal.SIGKILL)  # it lives
    shell.communicate(timeout=60)


def start(
    server: Answering, *command: str, watched: bool, seconds: str = "0.2", stdin: int | None = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    variables = environment(server, watched=watched)
    if watched:
        variables["ZENML_AZUREML_JOB_STOP_CHECK_SECONDS"] = seconds
    return subprocess.Popen(
        [*IN_JOB, *command],
        env=variables,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_the_watcher_has_left_the_process_group_of_the_step_before_the_step_begins() -> None:
    """A step may send a signal to its process group at once."""
    code = (
        "import os\n"
        "from zenml_azureml.in_job.watcher import start\n"
        "of_step = os.getpgid(0), os.getsid(0)\n"
        "def become(*_): print(os.getpgid(0) == of_step[0], os.getsid(0) == of_step[1], flush=True)\n"
        "start._become_watcher = become\n"
        "start.start(os.environ)"
    )
    environment = Answering("http://127.0.0.1:1").variables(PATH="/usr/bin:/bin")

    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "False False\n"
