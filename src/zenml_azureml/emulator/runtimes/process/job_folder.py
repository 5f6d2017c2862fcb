"""The folder of a job that runs on this machine: what it holds, and what the job sees of it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zenml_azureml.emulator.jobs.layout import ARTIFACT_FOLDERS, working_directory
from zenml_azureml.emulator.runtimes.process.app_shim import below

_SHIM = Path(__file__).with_name("app_shim.py")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class JobFolder:
    """Folders for everything that a job writes.

    Attributes:
        root: The job's folder: absolute, without symbolic links.
    """

    root: Path

    @property
    def working_directory(self) -> Path:
        """Working directory of the command: not the image's, as on Azure ML."""
        return working_directory(self.root)

    @property
    def home(self) -> Path:
        """The job's HOME; `tree.py` identifies the job's processes by it."""
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        """The job's TMPDIR."""
        return self.root / "tmp"

    @property
    def app(self) -> Path:
        """Folder that the job's Python sees as `/app`."""
        return self.root / "app"

    @property
    def shim(self) -> Path:
        """Folder in which the job's Python finds the path shim."""
        return self.root / "shim"

    @property
    def programs(self) -> Path:
        """Folder of `python`, `python3` and `pip`."""
        return self.root / "bin"

    @property
    def packages(self) -> Path:
        """Folder in which `pip install` installs packages, for this job only."""
        return self.root / "packages"

    def prepare(self, interpreter: Path) -> None:
        """Make the folders, the programs and the path shim.

        Args:
            interpreter: The Python that `python` means in the job's command.

        Raises:
            OSError: If the folder cannot be written to.
        """
        folders = (self.working_directory, self.home, self.temporary, self.shim, self.programs)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_SHIM, self.shim / "sitecustomize.py")
        # Scripts, not symbolic links: a linked interpreter does not know its virtual environment.
        self._add_program("python", f"exec {shlex.quote(str(interpreter))}")
        self._add_program("python3", f"exec {shlex.quote(str(interpreter))}")
        self._add_program("pip", f"exec {shlex.quote(str(interpreter))} -m pip")

    def share_artifacts(self, first: JobFolder) -> None:
        """Make `./outputs` and `./logs` those of the first node: a job has each of them once.

        Args:
            first: The folder of the first node.
        """
        for name in ARTIFACT_FOLDERS:
            link = self.working_directory / name
            if not link.is_symlink() and not link.exists():
                link.symlink_to(first.working_directory / name)

    def environment(self, interpreter: Path, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the job's command.

        Nothing comes from the emulator's own, and what keeps the job inside its folder wins over
        `variables`.

        Args:
            interpreter: The Python that `python` means in the job's command.
            variables: The variables of Azure ML and of the job.

        Returns:
            The environment variables.
        """
        given = variables.get("PYTHONPATH", "").split(":")
        python_path = [str(self.shim), str(self.packages)]
        python_path += [below(entry, str(self.app)) for entry in given if entry]
        return {
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            **variables,
            "AZUREML_CR_EXECUTION_WORKING_DIR_PATH": str(self.working_directory),
            "PATH": f"{self.programs}:{interpreter.parent}:{_SYSTEM_PATH}",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": ":".join(python_path),
            # The interpreter is the user's: installing and importing must not change it.
            "PIP_TARGET": str(self.packages),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _add_program(self, name: str, line: str) -> None:
        program = self.programs / name
        program.write_text(f'#!/bin/sh\n{line} "$@"\n')
        program.chmod(0o755)
