"""Copies of the project in which mutants live, each with an environment of its own. The project is never changed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mutation.mutate import Mutation
from tests.mutation.targets import ROOT

#: What a copy has of the project.
_COPIED = ("src", "tests", "benchmarks", "scripts", "docs", "pyproject.toml", "README.md", "LICENSE", "Makefile")

#: Seconds that one test may take. Whatever needs more has been made to wait by the mutant.
TEST_TIMEOUT = 60

#: Seconds that starting takes, and how many times as long as recorded the tests may take, on a busy machine.
_STARTING, _SLOWER = 120.0, 5.0

#: What pytest prints of a test that has taken too long: in the main thread, and beside it.
_TIMED_OUT = ("from pytest-timeout", "+ Timeout +")


class Workplace:
    """One copy of the project.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)
        self._python = _environment(folder)
        # The runs write no compiled code: that of one mutant could be taken for another's.
        subprocess.run([self._python, "-m", "compileall", "-q", "src", "tests"], cwd=folder, check=False)
        self._warm: subprocess.Popen[str] | None = None

    def notices(self, module: str, mutation: Mutation, tests: Sequence[str], seconds: float) -> str:
        """Run tests with a mutation; return `killed`, `survived` or `timeout`.

        Args:
            module: The module, as in `targets.TARGETS`.
            mutation: Its change.
            tests: Ids of the tests, the quickest first.
            seconds: What they take without it.
        """
        path = self.folder / "src" / "zenml_azureml" / module
        original, times = path.read_bytes(), path.stat()
        path.write_text(mutation.source)
        try:
            return self._run(tests, _STARTING + _SLOWER * seconds)
        finally:
            path.write_bytes(original)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # what is compiled of it is valid again

    def close(self) -> None:
        """End the process that forks the runs."""
        if self._warm is not None:
            self._warm.kill()
            self._warm.communicate()
            self._warm = None

    def _run(self, tests: Sequence[str], seconds: float) -> str:
        names, printed = self.folder / "tests.txt", self.folder / "printed.txt"
        names.write_text("\n".join(tests))
        options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout", str(TEST_TIMEOUT), f"@{names}"]
        code = self._fork({"arguments": options, "printed": str(printed)}, seconds)
        if code is None:
            return "timeout"
        said = printed.read_text(errors="replace")
        if code == pytest.ExitCode.USAGE_ERROR and "not found" in said:
            raise LookupError(f"The recording names tests that do not exist:\n{said}")
        if code == pytest.ExitCode.OK:
            return "survived"
        return "timeout" if any(words in said for words in _TIMED_OUT) else "killed"

    def _fork(self, asked: dict[str, object], seconds: float) -> int | None:
        """Have pytest run in a process of its own; return its exit code, None if it took too long."""
        if self._warm is None:
            self._warm = subprocess.Popen(
                [self._python, "-B", "-m", "tests.mutation.warm"],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._warm.stdin.write(json.dumps(asked) + "\n")
        self._warm.stdin.flush()
        process, late = int(self._warm.stdout.readline()), threading.Event()

        def kill() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(seconds, kill)
        timer.start()
        code = int(self._warm.stdout.readline())
        timer.cancel()
        timer.join()
        if not late.is_set():
            _kill(process)  # also what a mutant has left running
        return None if late.is_set() else code


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _environment(folder: Path) -> str:
    """Link the project's environment, and have it import the copy; return its Python."""
    source, target = Path(sys.prefix), folder / ".venv"
    shutil.copytree(source, target, symlinks=True, copy_function=os.link, ignore=shutil.ignore_patterns("azurite"))
    named = [*(target / "bin").iterdir(), *target.glob("lib/python*/site-packages/*zenml_azureml*.pth")]
    for path in named:
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        changed = content.replace(str(source).encode(), str(target).encode()).replace(
            str(ROOT / "src").encode(), str(folder / "src").encode()
        )
        if changed != content:
            path.unlink()  # a link to the project's own
            path.write_bytes(changed)
            path.chmod(0o755)
    return str(target / "bin" / "python")
