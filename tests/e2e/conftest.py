"""Real pipelines: a ZenML of their own, processes of their own, jobs that really run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

from tests.e2e import shared_folder_store, warm
from tests.e2e.environments import PythonEnvironment, build_wheel, environment_without_plugin
from tests.e2e.warm_jobs import WarmJobs
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.local.keys import curl_file
from zenml_azureml.emulator.runtimes.base import Runtime

#: Put before every script: what each of them needs.
PRELUDE = """
from zenml import CommandStep, get_step_context, log_metadata, pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings, ResourceSettings
from zenml_azureml import AzureMLStepOperatorSettings

NO_BUILD = {"docker": DockerSettings(skip_build=True, parent_image="example.azurecr.io/train:1")}

def last_run():
    return Client().list_pipeline_runs(size=1, sort_by="desc:created", hydrate=True)[0]
"""

REGISTER_STACK = """
import sys
from zenml.client import Client
from zenml.enums import StackComponentType as Type

store, subscription, group, workspace = sys.argv[1:]
client = Client()
client.create_stack_component("files", "local", Type.ARTIFACT_STORE, {"path": store})
client.create_stack_component("builder", "local", Type.IMAGE_BUILDER, {})
client.create_stack_component("registry", "default", Type.CONTAINER_REGISTRY, {"uri": "example.azurecr.io"})
address = {"subscription_id": subscription, "resource_group": group, "workspace_name": workspace}
client.create_stack_component("azureml", "azureml", Type.STEP_OPERATOR, address)
names = {Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "files", Type.IMAGE_BUILDER: "builder"}
names |= {Type.CONTAINER_REGISTRY: "registry", Type.STEP_OPERATOR: "azureml"}
client.create_stack("stack", names)
client.activate_stack("stack")
"""


@dataclass
class Project:
    """A user's folder with scripts, a ZenML configuration, and the way to an emulator.

    Attributes:
        folder: Where scripts are, and where they run.
        environment: Every environment variable that they see.
    """

    folder: Path
    environment: dict[str, str] = field(repr=False)
    python: str = sys.executable

    def start(self, script: str, *arguments: str, prelude: str = PRELUDE, name: str = "script.py") -> warm.Process:
        """Start a script, stdout and stderr in one pipe."""
        path = self.folder / name
        path.write_text(prelude + textwrap.dedent(script))
        if self.python == sys.executable:
            return warm.WarmProcess([str(path), *arguments], self.environment, self.folder)
        return subprocess.Popen(
            [self.python, str(path), *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *arguments: str, prelude: str = PRELUDE) -> tuple[int, str]:
        """Run a script; its exit code and output."""
        process = self.start(script, *arguments, prelude=prelude)
        output, _ = process.communicate(timeout=240)
        return process.wait(), output

    def succeed(self, script: str, *arguments: str, prelude: str = PRELUDE) -> str:
        """Run a script that has to succeed; its output."""
        code, output = self.run(script, *arguments, prelude=prelude)
        assert code == 0, output
        return output

    def zenml(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `zenml` command."""
        return self.command("zenml", *arguments)

    def azureml(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `zenml-azureml` command."""
        return self.command("zenml-azureml", *arguments)

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that is installed beside Python."""
        command = [str(Path(self.python).parent / name), *arguments]
        if self.python == sys.executable:
            return warm.run(command, self.environment, self.folder)
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False
        )


@pytest.fixture
def runtime_of_jobs() -> Runtime:
    """What executes jobs that are not simulated: processes, the Pythons of which are forked."""
    return WarmJobs()


@pytest.fixture
def jobs(tmp_path: Path, runtime_of_jobs: Runtime) -> Iterator[Emulator]:
    """An emulator whose jobs are real processes."""
    settings = Settings(compute_provisioning=0.2, job_preparation=0, job_finalization=0)
    with Emulator(tmp_path / "emulator", runtime=runtime_of_jobs, settings=settings) as emulator:
        yield emulator


@pytest.fixture
def project(tmp_path: Path, zenml_with_stack: Path, jobs: Emulator) -> Project:
    """A user's project with a stack whose step operator leads to the emulator `jobs`."""
    return project_at(tmp_path, zenml_with_stack, jobs)


@pytest.fixture
def simulated_project(tmp_path: Path, zenml_with_stack: Path, emulator: Emulator) -> Project:
    """The same, with the emulator whose jobs are simulated."""
    return project_at(tmp_path, zenml_with_stack, emulator)


def project_at(tmp_path: Path, zenml_configuration: Path, emulator: Emulator) -> Project:
    """A project with a copy of a ZenML configuration, on an emulator."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copytree(zenml_configuration, tmp_path / "zenml")
    configuration = tmp_path / "zenml" / "config.yaml"  # which names its database by its whole path
    configuration.write_text(configuration.read_text().replace(str(zenml_configuration), str(tmp_path / "zenml")))
    return Project(folder, {**zenml_variables(tmp_path), **azure_variables(emulator)})


def zenml_variables(folder: Path) -> dict[str, str]:
    """The environment of a ZenML client that touches nothing outside a folder."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "ZENML_CONFIG_PATH": str(folder / "zenml"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "ZENML_LOGGING_COLORS_DISABLED": "true",
        "COLUMNS": "200",
    }


def azure_variables(emulator: Emulator) -> dict[str, str]:
    """What `zenml-azureml emulator env` exports, but with its CA alone: `ca_bundle` takes long to read."""
    proxy = {}
    if emulator.proxy_url is not None:
        proxy = {"HTTPS_PROXY": emulator.proxy_url, "https_proxy": emulator.proxy_url, "no_proxy": "127.0.0.1"}
    return {
        **proxy,
        "AZUREML_DEV_URL_MFE": emulator.base_url,
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com" if proxy else emulator.base_url,
        "AZURE_TENANT_ID": emulator.tenant_id,
        "AZURE_CLIENT_ID": emulator.client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(emulator.federated_token_file),
        "REQUESTS_CA_BUNDLE": str(emulator.ca_file),
        "ZENML_AZUREML_EMULATOR_KEY": emulator.context.keys.admin,
        "ZENML_AZUREML_EMULATOR_CURL": str(curl_file(emulator.context.folder)),
    }


@pytest.fixture(scope="session")
def zenml_with_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ZenML configuration with a stack, made once for all workers; copy it before use."""
    folder = made_once("stack", register_stack, tmp_path_factory)
    return folder / "zenml"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This package as a wheel, built once for all workers."""
    (wheel,) = made_once("wheel", build_wheel, tmp_path_factory).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def without_plugin(tmp_path_factory: pytest.TempPathFactory) -> PythonEnvironment:
    """An environment without this package, made once for all workers: nothing is to be installed in it."""
    environment = _environment_in(made_once("without-plugin", _make_environment, tmp_path_factory))
    warm.PYTHONS_OF_SERVERS.add(environment.python)
    return environment


@pytest.fixture(scope="session")
def with_plugin(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> PythonEnvironment:
    """The same with the wheel of this package."""

    def make(folder: Path) -> None:
        _make_environment(folder)
        _environment_in(folder).install(wheel)

    return _environment_in(made_once("with-plugin", make, tmp_path_factory))


def _make_environment(folder: Path) -> None:
    environment_without_plugin(_environment_in(folder).folder, Path(shared_folder_store.__file__))


def _environment_in(folder: Path) -> PythonEnvironment:
    return PythonEnvironment(folder / "environment")


def made_once(name: str, make: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the first worker to need it fills.

    Args:
        name: Of the folder.
        make: Fills the folder, which exists.
        tmp_path_factory: pytest's.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(str(shared / f"{name}.lock")):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def register_stack(folder: Path) -> None:
    """Make a ZenML configuration, and in it a stack whose step operator leads to an emulated workspace."""
    address = WorkspaceName()
    script = folder / "register.py"
    script.write_text(REGISTER_STACK)
    workspace = (address.subscription_id, address.resource_group, address.name)
    environment = {**zenml_variables(folder), "AZUREML_DEV_URL_MFE": "https://127.0.0.1:1"}
    done = warm.run([str(script), str(folder / "artifacts"), *workspace], environment, folder)
    assert done.returncode == 0, done.stdout + done.stderr
