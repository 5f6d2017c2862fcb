"""The folder `/app` of jobs that run as processes: each has one of its own, as in a container."""

from __future__ import annotations

import asyncio
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.unit.process_jobs import Launch, launching, log_source, python, run
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    with launching(tmp_path) as make:
        yield make


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
