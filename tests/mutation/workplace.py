"""Copies of the project in which mutants live, each with an environment of its own. The project is never changed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.mutation.mutate import Mutation
from tests.mutation.targets import ROOT

#: What a copy has of the project.
_COPIED = ("src", "tests", "benchmarks", "scripts", "docs", "pyproject.toml", "README.md", "LICENSE", "Makefile")

#: Seconds that one test may take. Whatever needs more has been made to wait by the mutant.
TEST_TIMEOUT = 60

#: Seconds that starting takes, and how many times as long as recorded the tests may take, on a busy machine.
_STARTING, _SLOWER = 120.0, 5.0

#: What pytest prints of a test that has taken too long.
_TIMED_OUT = "Timeout"


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

    def notices(self, module: str, mutation: Mutation, tests: Sequence[str], seconds: float) -> str:
        """Run tests with a mutation; return `killed`, `survived` or `timeout`.

        Args:
            module: The module, as in `targets.TARGETS`.
            mutation: Its change.
            tests: Ids of the tests, the quickest first.
            seconds: What they take without it.
        """
        path = self.folder / "src" / "zenml_azureml" / module
        original = path.read_bytes()
        path.write_text(mutation.source)
        try:
            return self._run(tests, _STARTING + _SLOWER * seconds)
        finally:
            path.write_bytes(original)

    def _run(self, tests: Sequence[str], seconds: float) -> str:
        names, printed = self.folder / "tests.txt", self.folder / "printed.txt"
        names.write_text("\n".join(tests))
        options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout", str(TEST_TIMEOUT)]
        with printed.open("wb") as output:
            process = subprocess.Popen(
                [self._python, "-B", "-m", "pytest", *options, f"@{names}"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                return "timeout"
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # also what a mutant has left running
                process.wait()
        if code == 0:
            return "survived"
        return "timeout" if _TIMED_OUT in printed.read_text(errors="replace") else "killed"


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
