"""The process runtime: real shells and real Pythons, each job in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from tests.escaping import assert_gone, escape
from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.runtimes.process.tree import KEEPER, end_processes, is_keeper, processes_of

Launch = Callable[..., JobLaunch]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Makes launches, each with a folder of its own; nothing that they start outlives the test."""

    def make(command: str, *, name: str = "job", image: str | None = None, **variables: str) -> JobLaunch:
        folder = tmp_path / "jobs" / name
        folder.mkdir(parents=True)
        return JobLaunch(name, command, image, variables, folder)

    yield make
    end_processes(tmp_path.resolve(), grace=0)


def python(script: str) -> str:
    """A command that runs a script in the job's Python."""
    return f"python - <<'EOF'\n{textwrap.dedent(script)}\nEOF"


def run(job: JobLaunch, runtime: ProcessRuntime | None = None) -> JobEnd:
    async def start_and_wait() -> JobEnd:
        return await (await (runtime or ProcessRuntime()).start(job)).wait()

    return asyncio.run(start_and_wait())


def log_source(job: JobLaunch) -> str:
    return job.log_file.read_text()


def wait_until(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


async def is_true(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition)


class TestWhatAJobSees:
    def test_stdout_and_stderr_are_in_one_log_in_the_order_written(self, launch: Launch) -> None:
        job = launch("echo one; echo two >&2; echo three")

        assert run(job) == JobEnd(exit_code=0)
        assert log_source(job) == "one\ntwo\nthree\n"

    def test_a_line_is_in_the_log_as_soon_as_it_is_printed(self, launch: Launch) -> None:
        job = launch(python("import time; print('early'); time.sleep(60)"))

        async def scenario() -> None:
            running = await ProcessRuntime().start(job)
            await is_true(lambda: "early" in log_source(job))
            await running.terminate()

        asyncio.run(scenario())

    def test_a_multi_line_command_is_one_shell_script(self, launch: Launch) -> None:
        job = launch('for i in 1 2; do\n  echo "line $i"\ndone')

        run(job)

        assert log_source(job) == "line 1\nline 2\n"

    def test_nothing_of_the_emulators_environment(self, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ZENML_STORE_API_TOKEN", "secret")
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "secret")
        job = launch("env", AZUREML_RUN_ID="job")

        run(job)

        seen = dict(line.split("=", 1) for line in log_source(job).splitlines())
        assert set(seen) - {"PWD", "SHLVL", "_", "OLDPWD"} == {
            "AZUREML_CR_DISTRIBUTED_CONFIG",
            "AZUREML_CR_EXECUTION_WORKING_DIR_PATH",
            "AZUREML_CR_NODE_RANK",
            "AZUREML_RUN_ID",
            "HOME",
            "LANG",
            "PATH",
            "PIP_TARGET",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONPATH",
            "PYTHONUNBUFFERED",
            "TMPDIR",
        }

    def test_home_temporary_files_and_working_directory_are_in_its_folder(self, launch: Launch) -> None:
        job = launch(
            python(
                """
                import os, pathlib, tempfile
                print(pathlib.Path.home(), tempfile.gettempdir(), os.getcwd(), sep="\\n")
                """
            )
        )

        run(job)

        folder = job.folder.resolve()
        places = [folder / "home", folder / "tmp", folder / "exe" / "wd"]
        assert log_source(job).splitlines() == [str(place) for place in places]

    def test_python_is_the_emulators_own_with_its_virtual_environment(self, launch: Launch) -> None:
        job = launch("for p in python python3; do $p -c 'import sys; print(sys.prefix)'; done")

        run(job)

        assert log_source(job) == f"{sys.prefix}\n" * 2

    def test_python_is_the_interpreter_mapped_to_the_image(self, launch: Launch, tmp_path: Path) -> None:
        other = tmp_path / "other-python"
        other.write_text('#!/bin/sh\necho mapped "$@"\n')
        other.chmod(0o755)
        runtime = ProcessRuntime({"registry.io/train:1": other})
        mapped = launch("python -m train; pip list", name="mapped", image="registry.io/train:1")
        default = launch("python -c 'print(1)'", name="default", image="registry.io/other:1")

        run(mapped, runtime)
        run(default, runtime)

        assert log_source(mapped) == "mapped -m train\nmapped -m pip list\n"
        assert log_source(default) == "1\n"

    def test_pip_installs_into_the_job_and_not_into_the_interpreter(self, launch: Launch, tmp_path: Path) -> None:
        package = tmp_path / "package"
        package.mkdir()
        (package / "only_in_the_job.py").write_text("print('imported from', __file__)")
        (package / "pyproject.toml").write_text(
            textwrap.dedent(
                """
                [build-system]
                requires = ["hatchling"]
                build-backend = "hatchling.build"
                [project]
                name = "only-in-the-job"
                version = "1"
                [tool.hatch.build.targets.wheel]
                include = ["only_in_the_job.py"]
                """
            )
        )
        job = launch(f"pip install -q --no-index --no-build-isolation {package} && python -m only_in_the_job")

        end = run(job)

        assert end.succeeded, end.message
        assert f"imported from {job.folder.resolve() / 'packages'}" in log_source(job)

    def test_importing_leaves_no_bytecode_beside_the_users_modules(self, launch: Launch, tmp_path: Path) -> None:
        (tmp_path / "theirs.py").write_text("")

        run(launch("python -c 'import theirs'", PYTHONPATH=str(tmp_path)))

        assert not (tmp_path / "__pycache__").exists()


class TestHowAJobEnds:
    def test_a_failure_is_worded_as_azure_ml_words_it_with_the_traceback(self, launch: Launch) -> None:
        job = launch("python -c 'print(1); raise SystemExit(1/0)'")

        end = run(job)

        assert (end.exit_code, end.error_code) == (1, "UserError")
        assert end.message is not None
        assert end.message.startswith(
            "Execution failed. User process 'python' exited with status code 1. Please check "
            "log file 'user_logs/std_log.txt' for error details. Error: Traceback "
        )
        assert end.message.endswith("ZeroDivisionError: division by zero")

    def test_a_command_that_needs_a_shell_fails_as_the_shells_process(self, launch: Launch) -> None:
        end = run(launch("echo something >&2; exit 3"))

        assert end.message == (
            "Execution failed. User process '/bin/bash' exited with status code 3. Please check "
            "log file 'user_logs/std_log.txt' for error details. Error: something"
        )

    def test_a_signal_is_a_negative_exit_code(self, launch: Launch) -> None:
        assert run(launch("kill -9 $$")).exit_code == -9

    def test_processes_left_in_the_background_end_with_the_command(self, launch: Launch, tmp_path: Path) -> None:
        job = launch("sleep 600 & setsid sleep 600 & echo started")

        assert run(job) == JobEnd(exit_code=0)
        assert processes_of(tmp_path.resolve()) == []


class TestTerminating:
    @pytest.fixture
    def terminate(self, tmp_path: Path) -> Callable[..., JobEnd]:
        """Terminates a job once its log says `ready`, and returns its end."""

        def start_and_terminate(job: JobLaunch, *, grace: float) -> JobEnd:
            async def scenario() -> JobEnd:
                running = await ProcessRuntime(grace=grace).start(job)
                waiting = asyncio.ensure_future(running.wait())
                await is_true(lambda: "ready" in log_source(job))
                await running.terminate()
                assert processes_of(tmp_path.resolve()) == []
                return await waiting

            return asyncio.run(scenario())

        return start_and_terminate

    def test_a_job_is_asked_first_and_may_clean_up(self, launch: Launch, terminate: Callable[..., JobEnd]) -> None:
        job = launch("trap 'echo cleaned up; exit 0' TERM; echo ready; sleep 600 & wait")

        end = terminate(job, grace=60)

        assert end.exit_code == 0
        assert "cleaned up" in log_source(job)

    def test_a_child_has_the_grace_time_too_when_its_shell_is_gone(
        self, launch: Launch, terminate: Callable[..., JobEnd]
    ) -> None:
        cleaning_up = "trap 'sleep 0.5; echo child cleaned up; exit' TERM"
        job = launch(f"({cleaning_up}; echo ready; sleep 600 & wait) & wait")

        terminate(job, grace=60)

        assert "child cleaned up" in log_source(job)

    def test_what_does_not_listen_is_killed_after_the_grace_time(
        self, launch: Launch, terminate: Callable[..., JobEnd]
    ) -> None:
        job = launch("trap '' TERM; (trap '' TERM; sleep 600) & echo ready; while :; do sleep 1; done")

        end = terminate(job, grace=0.3)

        assert end.exit_code == -9

    def test_daemons_with_a_session_of_their_own_end_too(
        self, launch: Launch, terminate: Callable[..., JobEnd]
    ) -> None:
        job = launch("setsid --fork sleep 600; echo ready; sleep 600")

        terminate(job, grace=5)

    def test_processes_that_have_shaken_off_all_that_they_were_known_by_end_too(
        self, launch: Launch, tmp_path: Path, terminate: Callable[..., JobEnd]
    ) -> None:
        pid_file = tmp_path / "pid"
        job = launch(f"{escape(pid_file)}; echo ready; sleep 600")

        terminate(job, grace=5)

        assert_gone(pid_file)

    def test_processes_of_an_ended_command_end_with_it(self, launch: Launch, tmp_path: Path) -> None:
        pid_file = tmp_path / "pid"

        end = run(launch(escape(pid_file)))

        assert end == JobEnd(exit_code=0)
        assert_gone(pid_file)

    def test_a_failed_command_takes_them_along(self, launch: Launch, tmp_path: Path) -> None:
        pid_file = tmp_path / "pid"

        end = run(launch(f"{escape(pid_file)}; exit 3"))

        assert end.exit_code == 3
        assert_gone(pid_file)

    def test_a_killed_rank_takes_them_along(self, launch: Launch, tmp_path: Path) -> None:
        pid_file = tmp_path / "pid"
        job = launch(f"{escape(pid_file)}; echo ready; sleep 600")

        async def scenario() -> JobEnd:
            running = await ProcessRuntime().start(job)
            await is_true(lambda: "ready" in log_source(job))
            await running.kill(0)
            return await running.wait()

        assert asyncio.run(scenario()).exit_code == -9
        assert_gone(pid_file)

    def test_a_stopped_keeper_does_not_keep_the_job_alive(self, launch: Launch, tmp_path: Path) -> None:
        pid_file = tmp_path / "pid"
        job = launch(
            f"{escape(pid_file)}; grep -q keeper /proc/$PPID/cmdline && kill -STOP $PPID; echo ready; sleep 600"
        )

        async def scenario() -> JobEnd:
            running = await ProcessRuntime(grace=0.2).start(job)
            await is_true(lambda: "ready" in log_source(job))
            await running.terminate()
            return await running.wait()

        assert asyncio.run(scenario()).exit_code == -9
        assert_gone(pid_file)

    def test_closing_the_runtime_ends_every_job(self, launch: Launch, tmp_path: Path) -> None:
        async def scenario() -> None:
            runtime = ProcessRuntime(grace=5)
            for name in ("a", "b"):
                await runtime.start(launch("sleep 600", name=name))
            await runtime.close()

        asyncio.run(scenario())

        assert processes_of(tmp_path.resolve()) == []


#: What ZenML's entrypoint does in a container before a step runs.
ENTRYPOINT = """
import os, shutil, sys
os.makedirs("/app", exist_ok=True)
os.chdir("/app")
extract_dir = os.path.abspath("code")
os.makedirs(extract_dir, exist_ok=True)
shutil.unpack_archive(filename=os.environ["ARCHIVE"], extract_dir=extract_dir)
sys.path.insert(0, extract_dir)
os.chdir(extract_dir)
"""


class TestEachJobHasAnAppOfItsOwn:
    @pytest.fixture(autouse=True)
    def _the_machines_own(self) -> Iterator[None]:
        app = Path("/app")
        before = app.stat().st_mtime_ns if app.exists() else None
        yield
        assert (app.stat().st_mtime_ns if app.exists() else None) == before

    def test_two_jobs_at_once_each_import_their_own_code(self, launch: Launch, tmp_path: Path) -> None:
        # Each job waits, with its code extracted, until the other has extracted its own.
        script = ENTRYPOINT + textwrap.dedent(
            """
            import pathlib, time
            meeting = pathlib.Path(os.environ["MEETING"])
            (meeting / os.environ["ME"]).touch()
            while len(list(meeting.iterdir())) < 2:
                time.sleep(0.02)
            import step
            print(step.NAME, sorted(os.listdir("/app/code")))
            """
        )
        (tmp_path / "meeting").mkdir()

        async def scenario() -> list[str]:
            jobs = []
            for name in ("one", "two"):
                code = {"step.py": f"NAME = {name!r}", f"only_{name}.txt": ""}
                variables = {
                    "ARCHIVE": str(archive(tmp_path / name, code)),
                    "MEETING": str(tmp_path / "meeting"),
                    "ME": name,
                }
                jobs.append(launch(python(script), name=name, **variables))
            runtime = ProcessRuntime()
            running = [await runtime.start(job) for job in jobs]
            await asyncio.gather(*(job.wait() for job in running))
            return [log_source(job) for job in jobs]

        assert asyncio.run(scenario()) == [
            "one ['only_one.txt', 'step.py']\n",
            "two ['only_two.txt', 'step.py']\n",
        ]

    @pytest.mark.parametrize(
        "script",
        [
            "open('/app/f', 'w').write('x'); print(open('/app/f').read())",
            "import io; io.open('/app/f', 'w').write('x'); print('x')",
            "from pathlib import Path; path = Path('/app/f'); path.write_text('x'); print(path.read_text())",
            "from pathlib import Path; path = Path('/app/d/e'); path.mkdir(parents=True); path.rmdir(); print('x')",
            "import os; os.mkdir(b'/app/d'); print('x' * os.path.isdir(b'/app/d'))",
            "import shutil, os; os.makedirs('/app/d/e'); shutil.rmtree('/app/d'); "
            "print('x' * (not os.path.exists('/app/d')))",
            "import os; open('/app/a', 'w').close(); os.rename('/app/a', '/app/b'); "
            "print('x' * (os.listdir('/app') == ['b']))",
            "import os; open('/app/a', 'w').close(); os.replace(src='/app/a', dst='/app/b'); "
            "print('x' * (os.listdir('/app') == ['b']))",
            "import tempfile; print('x' * len(tempfile.mkdtemp(dir='/app')[:1]))",
            "open('/app/m.py', 'w').write(\"print('x')\"); import sys; sys.path.insert(0, '/app'); import m",
            "open('/app/m', 'w').write('print(\"x\")'); import runpy; runpy.run_path('/app/m')",
        ],
    )
    def test_whatever_way_python_takes_to_it(self, launch: Launch, script: str) -> None:
        job = launch(python(f"import os\nos.makedirs('/app')\n{script}"))

        end = run(job)

        assert end.succeeded, end.message
        assert log_source(job) == "x\n"
        assert (job.folder / "app").is_dir()

    @pytest.mark.parametrize(
        "call",
        [
            "subprocess.check_call([sys.executable, '-c', PRINT], cwd='/app')",
            "subprocess.check_call([sys.executable, '/app/child.py'])",
            "subprocess.check_call(['python', 'child.py'], cwd='/app')",
            "subprocess.check_call(['cat', '/app/f'])",
            "subprocess.check_call(['/app/program'])",
            "os.execv(sys.executable, [sys.executable, '/app/child.py'])",
            "os.waitpid(os.posix_spawn('/app/program', ['program'], os.environ), 0)",
        ],
    )
    def test_child_processes_see_it_too(self, launch: Launch, call: str) -> None:
        job = launch(
            python(
                f"""
                import os, subprocess, sys
                PRINT = "print(open('/app/f').read(), end='', flush=True)"
                os.makedirs('/app')
                open('/app/f', 'w').write('x')
                open('/app/child.py', 'w').write(PRINT)
                open('/app/program', 'w').write("#!/bin/sh\\nprintf x")
                os.chmod('/app/program', 0o755)
                {call}
                """
            )
        )

        end = run(job)

        assert end.succeeded, end.message
        assert log_source(job) == "x"

    def test_processes_of_multiprocessing_see_it_and_functions_still_pickle(self, launch: Launch) -> None:
        job = launch(
            "cat > main.py <<'EOF' && python main.py\n"
            "import multiprocessing, os\n"
            "if __name__ == '__main__':\n"
            "    os.makedirs('/app/inner')\n"
            "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
            "        print(pool.map(os.listdir, ['/app']))\n"
            "EOF"
        )

        end = run(job)

        assert end.succeeded, end.message
        assert log_source(job) == "[['inner']]\n"

    def test_a_python_path_into_it_leads_there(self, launch: Launch) -> None:
        job = launch("python -c 'import m'", PYTHONPATH="/app/code")
        (job.folder / "app" / "code").mkdir(parents=True)
        (job.folder / "app" / "code" / "m.py").write_text("print('found')")

        run(job)

        assert log_source(job) == "found\n"

    def test_other_paths_are_left_alone(self, launch: Launch) -> None:
        job = launch(python("import os; print(os.path.exists('/apple'), os.path.isdir('/'))"))

        run(job)

        assert log_source(job) == "False True\n"

    def test_a_sitecustomize_of_the_interpreters_own_still_runs(self, launch: Launch, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text("print('their own')")

        job = launch("python -c 'import sitecustomize'", PYTHONPATH=str(tmp_path))
        run(job)

        assert log_source(job) == "their own\n"


def archive(folder: Path, files: Mapping[str, str]) -> Path:
    """A `.tar.gz` of a few files, as ZenML uploads a pipeline's code."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    return Path(shutil.make_archive(str(folder), "gztar", folder))


def emulator_of(job: JobLaunch) -> psutil.Popen:
    """A process that runs a job, as an emulator does, once the job runs."""
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from zenml_azureml.emulator.runtimes.base import JobLaunch\n"
        "from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime\n"
        f"job = JobLaunch('job', {job.command!r}, None, {{}}, Path({str(job.folder)!r}))\n"
        "async def main():\n"
        "    await (await ProcessRuntime().start(job)).wait()\n"
        "asyncio.run(main())\n"
    )
    emulator = psutil.Popen([sys.executable, "-c", program])
    wait_until(lambda: job.log_file.exists() and "ready" in log_source(job))
    return emulator


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has subreapers")
def test_the_processes_of_a_job_end_with_a_killed_emulator(launch: Launch, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    emulator = emulator_of(launch(f"{escape(pid_file)}; (setsid sleep 600 &); echo ready; sleep 600"))

    emulator.kill()
    emulator.wait()

    wait_until(lambda: processes_of(tmp_path.resolve()) == [])
    assert_gone(pid_file)


def test_processes_that_a_killed_emulator_left_behind_are_found_and_ended(launch: Launch, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    emulator = emulator_of(launch(f"{escape(pid_file)}; echo ready; sleep 600"))
    (keeper,) = filter(is_keeper, processes_of(tmp_path.resolve()))
    keeper.suspend()  # which else ends them itself
    emulator.kill()
    emulator.wait()
    assert {int(pid_file.read_text())} < {process.pid for process in processes_of(tmp_path.resolve())}

    end_processes(tmp_path.resolve(), grace=5)

    assert processes_of(tmp_path.resolve()) == []
    assert_gone(pid_file)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has subreapers")
def test_a_keeper_of_a_job_that_leaves_nothing_says_so(tmp_path: Path) -> None:
    shell = {"command": "(setsid sleep 0.2 &)", "cwd": str(tmp_path), "environment": {}, "log": str(tmp_path / "log")}
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(KEEPER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert keeper.stdin is not None
    assert keeper.stderr is not None

    keeper.stdin.write(json.dumps([shell]).encode() + b"\n")
    keeper.stdin.flush()  # and open: the emulator lives

    assert (keeper.wait(), keeper.stderr.read()) == (0, b"")
    keeper.communicate()
