"""Copies of the project in which mutants live, each with an environment of its own. The project is never changed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.mutate import Mutation
from tests.mutation.targets import ROOT

#: What a copy has of the project.
_COPIED = ("src", "tests", "benchmarks", "scripts", "docs", "pyproject.toml", "README.md", "LICENSE", "Makefile")

#: Seconds after which a mutant's tests are ended: many times as long as they take.
TIMEOUT = 240


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

    def notices(self, module: str, mutation: Mutation, tests: Sequence[str]) -> str:
        """Run tests with a mutation; return `killed`, `survived` or `timeout`.

        Args:
            module: The module, as in `targets.TARGETS`.
            mutation: Its change.
            tests: Ids of the tests, the quickest first.
        """
        path = self.folder / "src" / "zenml_azureml" / module
        original = path.read_bytes()
        path.write_text(mutation.source)
        try:
            return {0: "survived", None: "timeout"}.get(self._run(tests), "killed")
        finally:
            path.write_bytes(original)

    def passes(self, tests: Sequence[str]) -> bool:
        """Return whether tests pass without any mutation."""
        return self._run(tests) == 0

    def _run(self, tests: Sequence[str]) -> int | None:
        names = self.folder / "tests.txt"
        names.write_text("\n".join(tests))
        command = [
            self._python,
            "-B",
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--timeout",
            "60",
            f"@{names}",
        ]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # Also what a mutant has left running.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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
