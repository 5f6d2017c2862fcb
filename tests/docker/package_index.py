"""A package index of our own (PEP 503) and a Git server: what this package is installed from, here and in images."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.e2e.environments import SOURCE

#: What builds this package, in an image too.
BUILD_BACKEND = "hatchling"
_AUTHOR = ("-c", "user.name=tests", "-c", "user.email=tests@example.com")


class PackageIndex:
    """Wheels by their distribution's name, and one Git repository.

    Args:
        folder: An empty folder, which is served.
        address: Where it is served: `http://HOST:PORT`.

    Attributes:
        url: What pip calls the index URL.
        repository: The URL of the repository.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self.url = f"{address}/simple"
        self.repository = f"{address}/zenml-azureml.git"

    def add(self, wheel: Path) -> None:
        """Offer a wheel."""
        name = wheel.name.partition("-")[0].lower().replace("_", "-")
        (self._folder / "simple" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, self._folder / "simple" / name)

    def add_empty(self, name: str, version: str) -> None:
        """Offer a distribution that has nothing in it."""
        module = name.replace("-", "_")
        wheel = self._folder / f"{module}-{version}-py3-none-any.whl"
        folder = f"{module}-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{folder}/RECORD", "")
        self.add(wheel)

    def add_from_elsewhere(self, requirement: str) -> None:
        """Offer a distribution of the index that this machine's pip uses, and what it depends on."""
        folder = self._folder / "elsewhere"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        subprocess.run([*command, "--only-binary", ":all:", "--dest", str(folder), requirement], check=True)
        for wheel in folder.glob("*.whl"):
            self.add(wheel)

    def commit_source(self) -> str:
        """Offer this source as a repository.

        Returns:
            The commit's id.
        """
        work = self._folder / "work"
        for part in ("pyproject.toml", "README.md", "LICENSE", "src"):
            source = SOURCE / part
            target = work / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                work.mkdir(exist_ok=True)
                shutil.copy(source, target)
        for arguments in (["init", "--quiet"], ["add", "."], [*_AUTHOR, "commit", "--quiet", "-m", "Source"]):
            subprocess.run(["git", *arguments], cwd=work, check=True)
        bare = self._folder / "zenml-azureml.git"
        subprocess.run(["git", "clone", "--quiet", "--bare", str(work), str(bare)], check=True)
        subprocess.run(["git", "update-server-info"], cwd=bare, check=True)  # served as files
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=work, check=True, capture_output=True, text=True
        ).stdout.strip()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def package_index(folder: Path) -> Iterator[PackageIndex]:
    """An index for the length of a `with`.

    Args:
        folder: An empty folder.
    """
    handler = partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield PackageIndex(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
