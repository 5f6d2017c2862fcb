"""Environments with other versions than those of the lock file, and the tests in them.

`make versions` runs the first session; `nox --list` shows all. What follows `--` goes to pytest, in the place of
"all tests".
"""

from __future__ import annotations

from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
TEST = nox.project.dependency_groups(PROJECT, "test")
#: Everything that the tests need; they import the package from `src`.
PACKAGE = ["--editable", ".[azure,demo,docker]", *TEST]

ALL_TESTS = ["--numprocesses", "auto", "--dist", "worksteal"]

TESTS_OF_CAUSES = [
    "tests/e2e/test_causes.py",
    "tests/unit/test_causes.py",
    "tests/unit/test_log_tail.py",
    "tests/unit/test_outcome.py",
    "tests/azure/test_survived_errors.py",
]

nox.needs_version = ">=2026.4.10"
nox.options.default_venv_backend = "venv"


@nox.session(default=True)
@nox.parametrize("azure", [nox.param("before", id="before"), nox.param("after", id="after")])
@nox.parametrize("zenml", [nox.param(version, id=version) for version in ("0.96", "0.97", "0.98")])
def versions(session: nox.Session, zenml: str, azure: str) -> None:
    """Test with a version of ZenML, whose Azure integration is installed before or after this package.

    The integration pins versions of its own and brings `azure-mgmt-*`: users have it, in either order.
    """
    chosen = f"zenml[local,server]~={zenml}.0"
    session.install(chosen)
    if azure == "before":
        _install_azure_integration(session)
    session.install(chosen, *PACKAGE)
    if azure == "after":
        _install_azure_integration(session)
    _test(session)


@nox.session(default=True, python=["3.10", "3.12", "3.13", "3.14"])
def causes(session: nox.Session) -> None:
    """Test on other versions of Python how failures are explained: what an interpreter prints at its end differs."""
    session.install(*PACKAGE)
    session.run("python", "-m", "pytest", *(session.posargs or TESTS_OF_CAUSES))


@nox.session(default=False)
@nox.parametrize("version", [nox.param("==1.35.0", id="floor"), nox.param("", id="latest")])
def sdk(session: nox.Session, version: str) -> None:
    """Test with the oldest and the newest `azure-ai-ml` that is supported."""
    session.install(f"azure-ai-ml{version}", *PACKAGE)
    _test(session)


@nox.session(default=False)
def newest(session: nox.Session) -> None:
    """Test with the newest release of everything, pre-releases of ZenML and of the SDK included."""
    session.install("--upgrade", "--upgrade-strategy", "eager", *PACKAGE)
    session.install("--upgrade", "--pre", "--no-deps", "zenml", "azure-ai-ml")
    _test(session)


def _install_azure_integration(session: nox.Session) -> None:
    # ZenML keeps its configuration out of the user's, and tells nobody of the installation.
    configuration = Path(session.create_tmp()) / "zenml"
    environment = {"ZENML_CONFIG_PATH": str(configuration), "ZENML_ANALYTICS_OPT_IN": "false"}
    session.run("zenml", "integration", "install", "azure", "--yes", env=environment)


def _test(session: nox.Session) -> None:
    session.run("python", "-m", "pip", "list", "--format=freeze")
    session.run("python", "-m", "pytest", *(session.posargs or ALL_TESTS))
