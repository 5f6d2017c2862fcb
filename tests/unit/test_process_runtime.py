"""The process runtime: real shells and real Pythons, each job in a folder of its own."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.escaping import assert_gone, escape
from tests.unit.process_jobs import Launch, is_true, launching, log_source, python, run
from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.runtimes.process.tree import processes_of


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    with launching(tmp_path) as make:
        yield make


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
