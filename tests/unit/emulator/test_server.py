"""Starting and closing an emulator."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.app import any_case
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.local.state_folder import folder_of_jobs
from zenml_azureml.emulator.runtimes.base import JobLaunch
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime


def health(emulator: Emulator, *, host: str = "127.0.0.1", cafile: Path | None = None) -> object:
    port = emulator.base_url.rpartition(":")[2]
    tls = ssl.create_default_context(cafile=str(cafile or emulator.ca_file))
    request = Request(f"https://{host}:{port}/_emulator/health", headers=emulator.admin_headers)
    with urlopen(request, context=tls) as answer:
        return json.load(answer)


def test_it_serves_on_loopback_under_all_its_names(tmp_path: Path) -> None:
    with Emulator(tmp_path) as emulator:
        assert emulator.base_url.startswith("https://127.0.0.1:")
        assert health(emulator) == health(emulator, host="localhost") == {"status": "ok"}
        assert health(emulator, cafile=emulator.ca_bundle) == {"status": "ok"}


def test_the_bundle_trusts_everybody_else_too(tmp_path: Path) -> None:
    with Emulator(tmp_path) as emulator:
        alone = ssl.create_default_context(cafile=str(emulator.ca_file))
        bundle = ssl.create_default_context(cafile=str(emulator.ca_bundle))

    assert len(alone.get_ca_certs()) == 1
    assert len(bundle.get_ca_certs()) > 50


def test_after_closing_nobody_listens(tmp_path: Path) -> None:
    with Emulator(tmp_path) as emulator:
        port = int(emulator.base_url.rpartition(":")[2])

    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_that_is_taken_is_an_error_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        Emulator(tmp_path, port=other.getsockname()[1])


def test_closing_ends_running_jobs(tmp_path: Path) -> None:
    settings, clock = Settings(simulated_seconds=1000), SystemClock()
    runtime = SimulatedRuntime(clock, settings)
    launch = JobLaunch("job", "sleep", None, {}, tmp_path / "job")
    with Emulator(tmp_path / "state", runtime=runtime, clock=clock, settings=settings) as emulator:
        job = emulator.run(runtime.start(launch))

    assert job.task.cancelled()


def test_a_start_clears_the_jobs_of_the_last_one(tmp_path: Path) -> None:
    Emulator(tmp_path).close()
    (folder_of_jobs(tmp_path, "jobs") / "old").mkdir()

    Emulator(tmp_path).close()

    assert not (tmp_path / "jobs").exists()


def test_several_emulators_and_workspaces_side_by_side(tmp_path: Path) -> None:
    names = [WorkspaceName("sub", "group", "one"), WorkspaceName("sub", "group", "two")]
    with Emulator(tmp_path / "a", workspaces=names) as first, Emulator(tmp_path / "b") as second:
        assert [workspace.name for workspace in first.context.store.workspaces] == ["one", "two"]
        assert first.base_url != second.base_url
        assert first.tenant_id != second.tenant_id


def test_only_arms_paths_match_in_any_case() -> None:
    assert any_case("/subscriptions/{s}/a.b") == "/{_0:(?ai:subscriptions)}/{s}/{_2:(?ai:a\\.b)}"
    assert any_case("/history/{s}") == "/history/{s}"
