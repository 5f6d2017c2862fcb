"""Fixtures for tests on the emulator.

pytest imports this module in every environment with the package, with or without the extra `emulator`. So it imports
pytest only; the fixtures import what they need when a test uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from zenml.models import StackResponse

    from zenml_azureml.emulator import Emulator
    from zenml_azureml.testing.admin import Faults, Scenarios
    from zenml_azureml.testing.workspace import EmulatedWorkspace
    from zenml_azureml.testing.zenml_home import ZenMLHome

_RUNTIME = "azureml_runtime"
_ZENML = "azureml_zenml"
_HOME: pytest.StashKey[ZenMLHome] = pytest.StashKey()

#: Modules of the extra `emulator`.
_NEEDED = ("aiohttp", "certifi", "jwt", "platformdirs", "psutil", "trustme")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings of the plugin to pytest's configuration."""
    parser.addini(
        _RUNTIME,
        "How the Azure ML emulator of the fixtures runs jobs: process, docker or simulated",
        default="process",
    )
    parser.addini(
        _ZENML,
        "Give the tests a ZenML configuration and database of their own, which `azureml_stack` needs",
        type="bool",
        default=False,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Separate ZenML from the user's configuration before any test file imports it, if the setting asks for it."""
    if early_config.getini(_ZENML):
        from zenml_azureml.testing.zenml_home import ZenMLHome

        early_config.stash[_HOME] = home = ZenMLHome()
        early_config.add_cleanup(home.close)


@pytest.fixture(scope="session")
def azureml_emulator(pytestconfig: pytest.Config) -> Iterator[Emulator]:
    """An Azure ML emulator for all tests of the session; with pytest-xdist, one for each worker.

    Its computes and jobs need no time to prepare. It ends with the session, with all its jobs and files.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        pytest.fail(
            f"The emulator needs packages that are not installed ({', '.join(missing)}). "
            "Next steps: pip install 'zenml-azureml[emulator]'",
            pytrace=False,
        )
    from zenml_azureml.testing.session import emulator_of

    runtime = str(pytestconfig.getini(_RUNTIME))
    if runtime not in ("process", "docker", "simulated"):
        raise pytest.UsageError(f"{_RUNTIME} is {runtime!r}, which is none of process, docker and simulated.")
    with emulator_of(runtime) as emulator:
        yield emulator


@pytest.fixture
def azureml_workspace(azureml_emulator: Emulator) -> Iterator[EmulatedWorkspace]:
    """A new, empty workspace of the emulator, to which the environment variables of the test lead.

    After the test its jobs are ended, and its files and the variables are removed.
    """
    from zenml_azureml.testing.workspace import new_workspace

    with new_workspace(azureml_emulator) as workspace:
        yield workspace


@pytest.fixture
def azureml_client(azureml_workspace: EmulatedWorkspace) -> MLClient:
    """The Azure ML SDK's client of the workspace."""
    from zenml_azureml.testing.workspace import client_of

    return client_of(azureml_workspace)


@pytest.fixture
def azureml_faults(azureml_emulator: Emulator) -> Iterator[Faults]:
    """Faults of requests; all are disarmed after the test."""
    from zenml_azureml.testing.admin import Faults

    faults = Faults(azureml_emulator)
    yield faults
    faults.disarm()


@pytest.fixture
def azureml_scenarios(azureml_emulator: Emulator) -> Iterator[Scenarios]:
    """Failures of jobs; all are disarmed after the test."""
    from zenml_azureml.testing.admin import Scenarios

    scenarios = Scenarios(azureml_emulator)
    yield scenarios
    scenarios.disarm()


@pytest.fixture
def azureml_stack(azureml_workspace: EmulatedWorkspace, pytestconfig: pytest.Config) -> Iterator[StackResponse]:
    """A ZenML stack with the step operator `azureml` on the workspace; it is active for the length of the test."""
    home = pytestconfig.stash.get(_HOME, None)
    if home is None:
        pytest.fail(
            "azureml_stack needs a ZenML configuration of the tests' own, so that it does not change yours.\n"
            f"Next steps: set `{_ZENML} = true` in the configuration of pytest.",
            pytrace=False,
        )
    from zenml_azureml.testing.stack import new_stack

    with new_stack(home.folder, azureml_workspace, source_root=Path(pytestconfig.rootpath)) as stack:
        yield stack
