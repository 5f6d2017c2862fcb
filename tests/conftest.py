"""An emulator for whoever asks, and the clients that talk to it."""

from __future__ import annotations

import functools
import inspect
import itertools
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from azure.ai.ml import MLClient
from azure.identity import ClientSecretCredential

from tests.e2e.warm_home import make_home
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.base import Runtime
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.emulator.services.entra import identity


def pytest_configure(config: pytest.Config) -> None:
    """Keep ZenML from the user's own configuration, whatever a test makes it do in this process."""
    folder = tempfile.mkdtemp(prefix="zenml-azureml-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    unmake = make_home()
    if unmake is not None:
        config.add_cleanup(unmake)
    # An example that takes longer than hypothesis allows, by default 200 ms, says nothing on a busy machine.
    hypothesis.settings.register_profile("no deadline", deadline=None)
    hypothesis.settings.load_profile("no deadline")
    os.environ["ZENML_CONFIG_PATH"] = folder
    # Where ZenML takes a user's code to be. It would take this package for such code, and store other names for it.
    (Path(folder) / ".zen").mkdir()
    os.environ["ZENML_REPOSITORY_PATH"] = folder
    os.environ["ZENML_ANALYTICS_OPT_IN"] = "false"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell's background jobs have it, and all programs that they start: tests send it to theirs.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):  # as `nohup` and shells leave them
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _few_signing_keys() -> Iterator[None]:
    """Let emulators sign with eight keys in turn: to make one takes longer than everything else of a start.

    Emulators of one test have different ones.
    """
    new_key = identity.new_key
    keys = itertools.cycle(new_key() for _ in range(8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "new_key", lambda: next(keys))
        yield


@pytest.fixture(scope="session", autouse=True)
def _cheap_calls() -> Iterator[None]:
    """Make two calls cheap that happen in each test, and do the same then.

    The SDK asks for the names of the functions on the stack whenever it reads a job, and is given the source lines of
    each frame too. pytest sets the level of the root logger twelve times, to what it is already; logging then forgets,
    for each of some thousand loggers, which levels are enabled.
    """
    set_level = logging.Logger.setLevel

    def set_another_level(logger: logging.Logger, level: int | str) -> None:
        if level != logger.level:
            set_level(logger, level)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "stack", functools.partial(inspect.stack, context=0))
        patch.setattr(logging.Logger, "setLevel", set_another_level)
        yield


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator whose jobs are simulated and whose computes and jobs need no time to prepare.

    For the length of the test the environment points Azure's clients at it.
    """
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    clock = SystemClock()
    runtime = SimulatedRuntime(clock, settings)
    with Emulator(tmp_path / "emulator", runtime=runtime, clock=clock, settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        yield emulator


@pytest.fixture
def runtime_of_jobs() -> Runtime:
    """What executes jobs that are not simulated."""
    return ProcessRuntime()


@pytest.fixture
def proxied(tmp_path: Path, runtime_of_jobs: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that clients of Azure's own addresses reach through its proxy, and no other way."""
    with Emulator(tmp_path / "proxied", runtime=runtime_of_jobs, proxy_port=0, environ={}) as emulator:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, str(emulator.proxy_url))
        for name in ("NO_PROXY", "no_proxy", "AZUREML_DEV_URL_MFE", "AZURE_AUTHORITY_HOST"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.ca_file))
        yield emulator


def point_clients_at(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment variables with which Azure's clients find and trust the emulator, and nothing else.

    Each new connection reads the certificates: its CA alone takes a hundredth of the time that `ca_bundle` takes.
    """
    monkeypatch.setenv("AZUREML_DEV_URL_MFE", emulator.base_url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.ca_file))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # MLClient sets it for good; so it is gone after the test.
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")


@pytest.fixture
def credential(emulator: Emulator) -> ClientSecretCredential:
    """The real credential of the emulator's one application."""
    return credential_of(emulator)


def credential_of(emulator: Emulator, secret: str | None = None) -> ClientSecretCredential:
    """The same, of an emulator that a test has started itself; with another secret than its present one."""
    return ClientSecretCredential(
        emulator.tenant_id,
        emulator.client_id,
        secret or emulator.client_secret,
        authority=emulator.base_url,
        disable_instance_discovery=True,
    )


@pytest.fixture
def ml_client(request: pytest.FixtureRequest) -> MLClient:
    """The real SDK, on the emulator's first workspace; or on Azure, for a test that `make live` runs."""
    from tests.live.arm import chosen_target

    target = chosen_target(request)
    if target is not None:
        return target.ml_client()
    return ml_client_of(request.getfixturevalue("emulator"), request.getfixturevalue("credential"))


def ml_client_of(emulator: Emulator, credential: ClientSecretCredential) -> MLClient:
    """The same, of an emulator that a test has started itself."""
    workspace = emulator.context.store.workspaces[0]
    return MLClient(
        credential,
        workspace.subscription_id,
        workspace.resource_group,
        workspace.name,
        cloud="AzureCloud",
        enable_telemetry=False,
        # Seconds between two looks at a long-running operation; the SDK's default is 30.
        polling_interval=0.05,
    )
