"""The SDK's source distribution: it has the tests, which are not in the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Ignored by git: nothing of the SDK's tests is part of this repository.
CACHE = ROOT / ".sdk-tests"
FILES = Path(__file__).parent / "files"

_PACKAGES = ("pytest-mock==3.15.1", "azure-mgmt-msi==7.1.0", "mock==5.2.0")
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def prepared() -> Path:
    """Download the tests of the installed version unless they are there, add our files, and return their folder."""
    number = version("azure-ai-ml")
    # Jobs without an experiment have this one's name for it, as in the repository of the SDK.
    folder = CACHE / number / "azure-ai-ml"
    if not folder.exists():
        _download(number)
        (CACHE / f"azure_ai_ml-{number}").rename(folder)
    configs = folder / "tests" / "test_configs"
    for file in FILES.rglob("*"):
        place = configs / file.relative_to(FILES)
        if file.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    return folder


def packages() -> Path:
    """Return the folder of the packages that only the SDK's tests need."""
    folder = CACHE / "packages"
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text(encoding="utf-8").split() != list(_PACKAGES):
        shutil.rmtree(folder, ignore_errors=True)
        _run("install", "--no-deps", "--target", str(folder), *_PACKAGES)
        installed.write_text("\n".join(_PACKAGES), encoding="utf-8")
    return folder


def _download(number: str) -> None:
    (CACHE / number).mkdir(parents=True, exist_ok=True)
    # Its metadata is made by setuptools, which the environment has.
    options = ("--no-deps", "--no-binary", "azure-ai-ml", "--no-build-isolation", "--dest", str(CACHE))
    _run("download", *options, f"azure-ai-ml=={number}")
    with tarfile.open(CACHE / f"azure_ai_ml-{number}.tar.gz") as archive:
        archive.extractall(CACHE, filter="data")


def _run(*arguments: str) -> None:
    subprocess.run([*_PIP, *arguments], check=True)
