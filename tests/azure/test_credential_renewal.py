"""Credentials that expire, are revoked or are changed while they are used: at a submit, and while jobs are watched."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Environment
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from tests.conftest import credential_of, point_clients_at
from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.auth.errors import SignInError
from zenml_azureml.azure.auth.identity import ServicePrincipal, credential_for
from zenml_azureml.azure.auth.refreshing_credential import PAUSE_AFTER_FAILURE, RenewingCredential
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.compute.placement import Demands
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.errors import to_azureml_error
from zenml_azureml.azure.jobs.run_history import fetch_run_details
from zenml_azureml.azure.jobs.watch import WatchOptions
from zenml_azureml.azure.retry import is_transient
from zenml_azureml.azure.sizes.vm_size import ResourceRequest
from zenml_azureml.azure.transport import WorkspaceTransport
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.clock import ManualClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.specs.compute import Serverless
from zenml_azureml.specs.job import JobOptions, JobSpec

ANSWERS = ("insufficient_claims", "session_revoked", "invalid_token", "none")


class Stage:
    """An emulator whose time passes while our side waits, and things that happen at a certain pause.

    Attributes:
        events: By number of the pause from 1: what happens in it.
    """

    def __init__(self, emulator: Emulator, clock: ManualClock) -> None:
        self.emulator = emulator
        self.arm = Arm(emulator)
        self.events: dict[int, Callable[[], None]] = {}
        self._clock = clock
        self._pauses = 0
        workspace = emulator.context.store.workspaces[0]
        self.address = WorkspaceAddress(workspace.subscription_id, workspace.resource_group, workspace.name)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._pauses += 1
        self.events.pop(self._pauses, lambda: None)()
        self.emulator.run(self._clock.advance(seconds))

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(seconds)

    def connect(self, make: Callable[[], TokenCredential] | None = None) -> WorkspaceConnection:
        """A connection whose credential, made anew, has the secret that is valid then."""
        transport = WorkspaceTransport(sleeper=self.sleep)
        return WorkspaceConnection(self.address, make or (lambda: credential_of(self.emulator)), transport, self)

    def revoke(self, answer: str = "insufficient_claims") -> None:
        self.arm.call("POST", "/_emulator/tokens/revoke", {"answer": answer})

    def rotate_secret(self, old: str = "deleted") -> None:
        self.arm.call("POST", "/_emulator/secret/rotate", {"old": old})

    def fault(self, **fault: Any) -> None:
        self.arm.call("POST", "/_emulator/faults", fault)

    def count(self, path: str, status: int | None = None) -> int:
        """How many requests there were to paths with this end, and this status."""
        served = [entry for entry in requests_of(self.emulator) if entry["path"].endswith(path)]
        return len([entry for entry in served if status in (None, entry["status"])])

    @property
    def token_requests(self) -> int:
        return self.count("/oauth2/v2.0/token")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    clock = ManualClock()
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0, simulated_seconds=20)
    runtime = SimulatedRuntime(clock, settings)
    with Emulator(tmp_path / "emulator", runtime=runtime, clock=clock, settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        yield Stage(emulator, clock)


_MORE_THAN_A_TOKEN_LIVES = 4000


def expire(stage: Stage) -> None:
    """By Azure's clock only, as after a laptop's sleep: what our side has cached seems valid to it."""
    stage.sleep(_MORE_THAN_A_TOKEN_LIVES)


def challenge(stage: Stage) -> None:
    stage.revoke("insufficient_claims")


def refuse_without_challenge(stage: Stage) -> None:
    stage.revoke("none")


def rotate(stage: Stage) -> None:
    stage.rotate_secret()
    stage.revoke("invalid_token")


HAPPENINGS = pytest.mark.parametrize("happen", [expire, challenge, refuse_without_challenge, rotate])


def a_request() -> JobSpec:
    return JobSpec(f"job-{uuid4()}", "shown", "renewal", "ubuntu", "echo", {}, {}, JobOptions(), own_tag="")


def submit(workspace: Workspace) -> str:
    return workspace.submit(a_request(), Serverless(), Demands(ResourceRequest(), "off")).name


@HAPPENINGS
def test_a_job_is_submitted_whatever_happened_to_the_credential_since_the_last(
    happen: Callable[[Stage], None], stage: Stage
) -> None:
    workspace = Workspace(stage.address, lambda: credential_of(stage.emulator), stage)
    first = submit(workspace)

    happen(stage)

    assert submit(workspace) != first
    (served,) = stage.emulator.context.store.workspaces
    assert len(served.jobs) == 2


@HAPPENINGS
def test_a_job_is_watched_to_its_end_whatever_happens_to_the_credential(
    happen: Callable[[Stage], None], stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = Workspace(stage.address, lambda: credential_of(stage.emulator), stage)
    if happen is expire:  # the job has to be there still when it happens again
        stage.emulator.context.settings.simulated_seconds += 2 * _MORE_THAN_A_TOKEN_LIVES
    name = submit(workspace)
    stage.events = {3: lambda: happen(stage), 6: lambda: happen(stage)}
    lines: list[str] = []

    job = workspace.watch(name, WatchOptions("", timedelta(minutes=1), lines.append))

    assert job.wait(timedelta(seconds=60))
    workspace.release(name)
    eventually(lambda: "zenml-azureml-job-monitor" not in {thread.name for thread in threading.enumerate()})
    assert (job.status, job.error, len(lines)) == ("Completed", None, 1)
    assert not stage.events
    # Nobody is bothered with it.
    assert "Cannot get the status" not in caplog.text


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_refused_token_costs_one_more_token_and_one_more_try(answer: str, stage: Stage) -> None:
    connection = stage.connect()
    assert list(connection.client.jobs.list()) == []
    before = stage.token_requests

    stage.revoke(answer)

    assert list(connection.client.jobs.list()) == []
    assert list(connection.client.jobs.list()) == []
    assert (stage.count("/jobs", 401), stage.count("/jobs", 200)) == (1, 3)
    assert stage.token_requests == before + 1


def look_up_compute(connection: WorkspaceConnection) -> None:
    assert list(connection.client.compute.list()) == []


def read_run_history(connection: WorkspaceConnection) -> None:
    with pytest.raises(HttpResponseError) as missing:
        fetch_run_details(connection, "nobody")
    assert missing.value.status_code == 404


def look_with_the_other_client(connection: WorkspaceConnection) -> None:
    assert list(connection.one_try_client.jobs.list()) == []


def make_environment(connection: WorkspaceConnection) -> None:
    connection.client.environments.create_or_update(Environment(name="made", version="1", image="ubuntu"))


def cancel_a_job_that_has_ended(connection: WorkspaceConnection) -> None:
    with pytest.raises(ResourceNotFoundError):
        connection.client.jobs.begin_cancel("nobody")


@pytest.mark.parametrize(
    "use",
    [look_up_compute, read_run_history, look_with_the_other_client, make_environment, cancel_a_job_that_has_ended],
)
@pytest.mark.parametrize("answer", ["insufficient_claims", "none"])
def test_whatever_is_asked_of_azure_is_asked_again_with_another_token(
    answer: str, use: Callable[[WorkspaceConnection], None], stage: Stage
) -> None:
    connection = stage.connect()
    use(connection)
    before = stage.token_requests

    stage.revoke(answer)
    use(connection)

    assert stage.token_requests == before + 1


def test_tokens_are_renewed_before_they_expire(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, real_time = stage.connect(), time.time
    for hours in range(4):
        passed = hours * 3600
        monkeypatch.setattr(time, "time", lambda passed=passed: real_time() + passed)
        assert list(connection.client.jobs.list()) == []
        stage.sleep(3600)

    assert stage.count("/jobs") == stage.count("/jobs", 200) == 4
    assert stage.token_requests == 4


def test_one_token_serves_all_clients_of_a_connection(stage: Stage) -> None:
    connection = stage.connect()

    for _ in range(2):
        list(connection.client.jobs.list())
        list(connection.one_try_client.jobs.list())
        list(connection.client.compute.list())
        assert connection.run_history_url

    assert stage.token_requests == 1


def test_tokens_say_that_challenges_are_understood(stage: Stage) -> None:
    cloud = stage.address.cloud
    token = RenewingCredential(lambda: credential_of(stage.emulator), cloud).get_token(cloud.token_scope)

    assert jwt.decode(token.token, options={"verify_signature": False})["xms_cc"] == ["CP1"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_threads_that_meet_a_revoked_token_at_once_ask_for_one_new_token(answer: str, stage: Stage) -> None:
    connection = stage.connect()
    clients = [connection.client, connection.one_try_client] * 8
    for client in clients:
        list(client.jobs.list())
    before, barrier = stage.token_requests, threading.Barrier(16)

    def look(client: MLClient) -> None:
        barrier.wait()
        assert list(client.jobs.list()) == []

    stage.revoke(answer)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(look, clients))

    assert stage.token_requests == before + 1


def test_a_secret_that_was_changed_at_its_source_is_looked_up_once_it_is_refused(stage: Stage) -> None:
    looked_up = []

    def make() -> TokenCredential:
        looked_up.append(stage.emulator.client_secret)
        return credential_of(stage.emulator)

    connection = stage.connect(make)
    list(connection.client.jobs.list())
    stage.rotate_secret()
    list(connection.client.jobs.list())
    assert len(looked_up) == 1  # its token is still good

    stage.revoke("insufficient_claims")
    list(connection.client.jobs.list())

    assert looked_up == [looked_up[0], stage.emulator.client_secret]
    assert looked_up[0] != looked_up[1]


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ("deleted", "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is"),
        ("expired", "AADSTS7000222: The provided client secret keys for app"),
    ],
)
def test_a_credential_that_cannot_be_renewed_is_named_in_entras_words(
    old: str, words: str, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = stage.emulator.client_secret
    connection = stage.connect(lambda: credential_of(stage.emulator, secret))
    list(connection.client.jobs.list())
    stage.rotate_secret(old)
    stage.revoke("none")

    with pytest.raises(SignInError) as refused:
        connection.client.jobs.get("job")

    told = str(to_azureml_error("watch the job `job`", refused.value, stage.address))
    assert "the credential `ClientSecretCredential` could not sign in.\nAzure: " + words in told
    assert "Next steps: Check the credentials." in told
    assert not re.search("Trace ID|Correlation ID|Timestamp|Authentication failed", told)
    everything = "\n".join([told, str(refused.value), repr(refused.value), caplog.text])
    assert not [known for known in (secret, stage.emulator.client_secret) if known in everything]


def test_a_credential_that_cannot_be_renewed_is_left_in_peace_for_a_while(stage: Stage) -> None:
    secret = stage.emulator.client_secret
    broken = stage.connect(lambda: credential_of(stage.emulator, secret))
    stage.rotate_secret()

    def look() -> None:
        with pytest.raises(SignInError, match="AADSTS7000215"):
            list(broken.client.jobs.list())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: look(), range(16)))
    assert stage.token_requests == 2

    stage.sleep(PAUSE_AFTER_FAILURE)
    look()
    assert stage.token_requests == 4


def test_a_credential_that_is_mended_counts_after_that_while(stage: Stage) -> None:
    mended = False
    stale = credential_of(stage.emulator)
    connection = stage.connect(lambda: credential_of(stage.emulator) if mended else stale)
    stage.rotate_secret()
    with pytest.raises(SignInError):
        list(connection.client.jobs.list())

    mended = True
    stage.sleep(PAUSE_AFTER_FAILURE)

    assert list(connection.client.jobs.list()) == []


def test_a_new_token_that_is_refused_too_is_told_with_azures_reason(stage: Stage) -> None:
    connection = stage.connect()
    list(connection.client.compute.list())
    before = stage.token_requests
    body = {"error": {"code": "InvalidAuthenticationTokenTenant", "message": "The token is from another tenant."}}
    stage.fault(path="/jobs", status=401, body=body, times=100)

    with pytest.raises(SignInError) as refused:
        connection.client.jobs.get("job")

    assert stage.count("/jobs/job") == 2
    assert stage.token_requests == before + 1
    told = str(to_azureml_error("watch the job `job`", refused.value, stage.address))
    assert "the credential `ClientSecretCredential` signed in, but its tokens are refused.\n" in told
    assert "Azure: (InvalidAuthenticationTokenTenant) The token is from another tenant.\n" in told
    # Whatever is not refused goes on.
    look_up_compute(connection)
    look_up_compute(stage.connect())


@pytest.mark.parametrize("outage", [{"reset": True}, {"status": 503}, {"status": 502, "body": "a page"}])
def test_a_login_server_that_is_away_is_no_refusal(
    outage: dict[str, Any], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = stage.emulator
    principal = ServicePrincipal(emulator.tenant_id, emulator.client_id, emulator.client_secret)
    transport = WorkspaceTransport(sleeper=stage.sleep)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)
    connection = stage.connect(lambda: credential_for(principal, stage.address.cloud, transport))
    stage.fault(path="/oauth2/v2.0/token", times=20, **outage)

    with pytest.raises(AzureError) as away:
        list(connection.one_try_client.jobs.list())

    assert is_transient(away.value)
    assert not isinstance(away.value, ClientAuthenticationError)
    stage.arm.call("POST", "/_emulator/reset")
    later = time.time() + 60  # msal gives a login server that has failed some seconds' rest
    monkeypatch.setattr(time, "time", lambda: later)
    assert list(connection.one_try_client.jobs.list()) == []
