"""Virtual environments that cost nothing to make: with everything of the one that runs, but for this package.

Into them, the real wheel is installed and uninstalled by the real pip.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2]

#: The `zenml` command, as pip would install it.
ZENML_COMMAND = """#!{python}
import sys
from zenml_cli import cli
sys.exit(cli())
"""


@dataclass(frozen=True)
class PythonEnvironment:
    """A virtual environment.

    Attributes:
        folder: Its root.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where pip installs to."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def install(self, wheel: Path) -> None:
        """Install a wheel, without what it depends on: that is there already."""
        self._pip("install", "--no-deps", "--no-index", str(wheel))

    def install_from(self, *where: str) -> None:
        """Install what a requirement names, without what it depends on: that is there already.

        Args:
            where: The requirement, and pip's options that say where to look for it.
        """
        self._pip("install", "--no-deps", "--no-build-isolation", *where)

    def uninstall(self, distribution: str) -> None:
        """Uninstall a distribution."""
        self._pip("uninstall", "--yes", distribution)

    def _pip(self, *arguments: str) -> None:
        command = [
            str(self.python),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--no-cache-dir",
            "--quiet",
            *arguments,
        ]
        done = subprocess.run(command, env=_without_settings(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def environment_without_plugin(folder: Path, *modules: Path) -> PythonEnvironment:
    """A new environment that has everything of the running one, but for this package.

    Args:
        folder: Where to make it.
        modules: Files to have as modules in it.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    environment = PythonEnvironment(folder)
    packages = folder / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "zenml_azureml" not in entry.name and entry.name != "__pycache__":
            (packages / entry.name).symlink_to(entry)
    for module in modules:
        (packages / module.name).symlink_to(module)
    # Python does not look for further .pth files there, so that none makes the development install importable.
    (environment.site_packages / "packages.pth").write_text(f"{packages}\n")
    command = folder / "bin" / "zenml"
    command.write_text(ZENML_COMMAND.format(python=environment.python))
    command.chmod(0o755)
    return environment


def build_wheel(folder: Path, source: Path = SOURCE) -> None:
    """Build the wheel of this package, or of another version's sources, into a folder."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "wheel", *options]
    subprocess.run(command, env=_without_settings(), check=True)


def _without_settings() -> dict[str, str]:
    """The machine's environment, without what would tell pip or Python where to install or look."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
