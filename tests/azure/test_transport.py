"""The one transport of a workspace: many threads on one pool, and waiting that is somebody else's business."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from azure.ai.ml.entities import AmlCompute
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ServiceResponseError

from tests.conftest import point_clients_at
from tests.contract.arm import Arm
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.auth.identity import ServicePrincipal, credential_for
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.submitter import JobSubmitter
from zenml_azureml.azure.retry import is_transient
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.clouds import AZURE
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.specs.job import JobSpec

THREADS = 64


def connect(
    emulator: Emulator, credential: TokenCredential, sleeper: Callable[[float], None] | None = None
) -> WorkspaceConnection:
    workspace = emulator.context.store.workspaces[0]
    address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name)
    transport = None if sleeper is None else WorkspaceTransport(sleeper=sleeper)
    return WorkspaceConnection(address, lambda: credential, transport)


def test_64_threads_that_submit_share_64_connections(
    emulator: Emulator, credential: TokenCredential, caplog: pytest.LogCaptureFixture
) -> None:
    submitter = JobSubmitter(connect(emulator, credential))
    barrier = threading.Barrier(THREADS)
    emulator.context.settings.latency = 0.05  # so that all requests of a round are under way at once

    def submit_thrice() -> None:
        for _ in range(3):
            barrier.wait()
            submitter.submit(JobSpec(f"job-{uuid4()}", "shown", "pool", "ubuntu", "echo", {}, {}, own_tag=""), ANYWHERE)

    with caplog.at_level(logging.WARNING, "urllib3.connectionpool"), ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(submit_thrice) for _ in range(THREADS)]:
            done.result()

    puts = [entry for entry in requests_of(emulator) if entry["method"] == "PUT" and "/jobs/" in entry["path"]]
    assert len(puts) == 3 * THREADS
    assert len({entry["connection"] for entry in puts}) <= THREADS
    # urllib3 warns of each connection that finds no place in the pool.
    assert [record for record in caplog.records if record.name.startswith("urllib3")] == []


def test_second_tries_wait_by_the_given_sleeper(emulator: Emulator, credential: TokenCredential) -> None:
    slept: list[float] = []
    Arm(emulator).call("POST", "/_emulator/faults", {"method": "GET", "path": "/computes$", "times": 2, "status": 503})

    assert list(connect(emulator, credential, slept.append).client.compute.list()) == []

    assert slept == [1.6]  # azure-core tries at once at first


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("/workspaces/[^/]+$", lambda connection: connection.location),
        ("/computes$", lambda connection: list(connection.one_try_client.compute.list())),
        ("/discovery$", lambda connection: connection.run_history_url),
    ],
)
def test_a_page_in_place_of_an_answer_counts_as_no_answer(
    path: str, ask: Callable[[WorkspaceConnection], object], emulator: Emulator, credential: TokenCredential
) -> None:
    page = {"path": path, "times": 20, "status": 200, "html": "<html>Please log in</html>"}
    Arm(emulator).call("POST", "/_emulator/faults", page)

    with pytest.raises(ServiceResponseError, match="answered with a web page") as raised:
        ask(connect(emulator, credential, lambda _seconds: None))

    assert is_transient(raised.value)


def test_a_created_compute_is_noticed_within_two_seconds_of_the_given_sleepers_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, settings = ManualClock(), Settings(compute_provisioning=91)
    runtime = SimulatedRuntime(clock, settings)
    with Emulator(tmp_path / "emulator", runtime=runtime, clock=clock, settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            emulator.run(clock.advance(seconds))

        credential = credential_for(
            ServicePrincipal(emulator.tenant_id, emulator.client_id, emulator.client_secret),
            replace(AZURE, authority=emulator.base_url),
        )
        computes = connect(emulator, credential, sleep).client.compute

        computes.begin_create_or_update(AmlCompute(name="cpu", size="Standard_DS2_v2")).result()

    assert 91 <= sum(slept) <= 93
