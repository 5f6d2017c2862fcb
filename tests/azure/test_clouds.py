"""Clouds and custom endpoints: who talks to whom, seen on the wire."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from azure.ai.ml import MLClient
from azure.identity import ClientSecretCredential

from tests.azure.wire import Wire
from tests.contract.waiting import eventually
from tests.e2e.requests_of import requests_of
from zenml_azureml.azure.auth.identity import ServicePrincipal, credential_for
from zenml_azureml.azure.client import Workspace
from zenml_azureml.azure.compute.placement import ANYWHERE
from zenml_azureml.azure.connection import WorkspaceAddress, WorkspaceConnection
from zenml_azureml.azure.jobs.submitter import JobSubmitter, SubmittedJob
from zenml_azureml.azure.logs.streamer import LogFollower
from zenml_azureml.azure.sdk.current_cloud import CLOUD_VARIABLE, CurrentCloud
from zenml_azureml.clouds import AZURE, CLOUDS, Cloud
from zenml_azureml.emulator import Emulator, WorkspaceName
from zenml_azureml.emulator.clock import SystemClock
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime
from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.plugin.credentials import credential_of
from zenml_azureml.specs.job import JobIdentity, JobOptions, JobSpec
from zenml_azureml.step_operator import AzureMLStepOperator

CHINA = CLOUDS["AzureChinaCloud"]
SUBSCRIPTIONS = {
    AZURE: "00000000-0000-0000-0000-00000000000a",
    CHINA: "00000000-0000-0000-0000-00000000000c",
}

#: What would lead every client in the process to one place, or give it other credentials.
_VARIABLES = (
    *("AZUREML_DEV_URL_MFE", "AZUREML_CURRENT_CLOUD", "ARM_CLOUD_METADATA_URL", "AZURE_AUTHORITY_HOST"),
    *("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"),
)


def start(folder: Path, cloud: Cloud) -> Emulator:
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    clock = SystemClock()
    name = WorkspaceName(subscription_id=SUBSCRIPTIONS[cloud])
    runtime = SimulatedRuntime(clock, settings)
    return Emulator(folder, workspaces=[name], runtime=runtime, clock=clock, settings=settings, cloud=cloud.name)


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Cloud, Emulator]]:
    """An emulator for the public cloud and one for China's; nothing in the environment leads to either."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    bundle = tmp_path / "ca.pem"
    with start(tmp_path / "public", AZURE) as public, start(tmp_path / "china", CHINA) as china:
        bundle.write_bytes(public.ca_bundle.read_bytes() + china.ca_file.read_bytes())
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield {AZURE: public, CHINA: china}


@pytest.fixture
def wire(clouds: dict[Cloud, Emulator]) -> Wire:
    return Wire(clouds)


def principal_of(emulator: Emulator) -> ServicePrincipal:
    return ServicePrincipal(emulator.tenant_id, emulator.client_id, emulator.client_secret)


def address_in(cloud: Cloud) -> WorkspaceAddress:
    return WorkspaceAddress(SUBSCRIPTIONS[CLOUDS[cloud.name]], "emulator", "emulator", cloud)


def connect(cloud: Cloud, clouds: dict[Cloud, Emulator], wire: Wire) -> WorkspaceConnection:
    principal = principal_of(clouds[cloud])
    return WorkspaceConnection(
        address_in(cloud), lambda: credential_for(principal, cloud, wire), wire, endpoints=wire.endpoints
    )


# What an operator does with a workspace, a request or a few at a time.
def submit(connection: WorkspaceConnection, *, as_user: bool = False) -> SubmittedJob:
    options = JobOptions(identity=JobIdentity("user") if as_user else None)
    request = JobSpec(f"job-{uuid4()}", "shown", "clouds", "ubuntu", "echo", {}, {}, options, own_tag="")
    return JobSubmitter(connection).submit(request, ANYWHERE)


def look_at_computes(connection: WorkspaceConnection) -> None:
    assert list(connection.client.compute.list()) == []


def read_log(connection: WorkspaceConnection) -> None:
    name = submit(connection).name
    eventually(lambda: connection.client.jobs.get(name).status == "Completed")
    lines, _details = LogFollower(connection, name).read_rest()
    assert lines


def check_studio_link(connection: WorkspaceConnection, tenant: str) -> None:
    link = submit(connection).studio_url
    assert re.match(r"https://127\.0\.0\.1:\d+/runs/", link)  # the emulator stands for each Studio
    # The SDK adds the tenant, which it finds in a token.
    assert link.endswith(f"&tid={tenant}")


def hosts_of(cloud: Cloud, emulator: Emulator) -> set[str]:
    """Where a cloud is reached: by its public addresses, and by the links in the emulator's answers."""
    return {urlsplit(url).netloc for url in (cloud.resource_manager, cloud.authority, emulator.base_url)}


def check_wire(wire: Wire, clouds: dict[Cloud, Emulator]) -> None:
    """Each cloud was asked for its own things alone, with its own tokens alone, and refused none of it."""
    for (cloud, emulator), (other, other_emulator) in permutations(clouds.items()):
        to_it = [sent for sent in wire.sent if sent.host in hosts_of(cloud, emulator)]
        assert {audience for sent in to_it for audience in sent.audiences} <= {cloud.audience, cloud.studio}
        assert {sent.scope for sent in to_it} <= {"", cloud.token_scope, cloud.studio_scope}
        foreign = (SUBSCRIPTIONS[other], other_emulator.tenant_id)
        assert not [sent for sent in to_it if any(name in sent.path for name in foreign)]
        assert wire.to(cloud)
        assert all(sent.audiences for sent in wire.to(cloud))
        assert not {400, 401, 403} & {entry["status"] for entry in requests_of(emulator)}


@pytest.mark.parametrize("order", list(permutations((AZURE, CHINA))), ids=lambda order: f"{order[0].name} first")
def test_two_clouds_in_one_process_use_their_own_endpoints(
    order: tuple[Cloud, ...], clouds: dict[Cloud, Emulator], wire: Wire
) -> None:
    before = dict(os.environ)
    connections = [connect(cloud, clouds, wire) for cloud in order]

    for use in (look_at_computes, submit, read_log):
        for connection in connections:
            use(connection)
    for connection in connections:
        check_studio_link(connection, clouds[connection.cloud].tenant_id)

    check_wire(wire, clouds)
    assert dict(os.environ) == before


def test_two_clouds_at_once_from_many_threads_each_get_their_own(clouds: dict[Cloud, Emulator], wire: Wire) -> None:
    before = dict(os.environ)
    barrier = threading.Barrier(8)

    def work(cloud: Cloud) -> None:
        connection = connect(cloud, clouds, wire)  # with a client of its own
        barrier.wait()
        look_at_computes(connection)
        check_studio_link(connection, clouds[cloud].tenant_id)
        submit(connection, as_user=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [AZURE, CHINA] * 4))

    check_wire(wire, clouds)
    assert dict(os.environ) == before


def test_a_client_that_names_another_cloud_in_the_environment_leads_nobody_there(
    clouds: dict[Cloud, Emulator], wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CLOUD_VARIABLE, "left over")
    credential = credential_for(principal_of(clouds[AZURE]), AZURE, wire)
    MLClient(credential, SUBSCRIPTIONS[AZURE], "emulator", "emulator", cloud="AzureUSGovernment")
    assert os.environ[CLOUD_VARIABLE] == "AzureUSGovernment"

    connection = connect(CHINA, clouds, wire)

    check_studio_link(connection, clouds[CHINA].tenant_id)
    assert {sent.host for sent in wire.sent} == hosts_of(CHINA, clouds[CHINA])
    assert os.environ[CLOUD_VARIABLE] == "AzureUSGovernment"


@pytest.mark.parametrize("cloud", [AZURE, CHINA], ids=lambda cloud: cloud.name)
def test_a_job_with_the_users_identity_carries_a_token_of_its_cloud(
    cloud: Cloud, clouds: dict[Cloud, Emulator], wire: Wire
) -> None:
    connection = connect(cloud, clouds, wire)

    submit(connection, as_user=True)

    assert wire.to(cloud)[-1].audiences == {cloud.audience, cloud.studio}
    assert CLOUD_VARIABLE not in os.environ


Offered = Callable[[Emulator], dict[str, str]]


def by_secret(emulator: Emulator) -> dict[str, str]:
    return {"AZURE_CLIENT_SECRET": emulator.client_secret}


def by_workload_identity(emulator: Emulator) -> dict[str, str]:
    # Where it runs, the authority is in the environment too: azure-identity gives it no other.
    return {
        "AZURE_FEDERATED_TOKEN_FILE": str(emulator.federated_token_file),
        "AZURE_AUTHORITY_HOST": CHINA.authority,
    }


@pytest.mark.parametrize("offered", [by_secret, by_workload_identity])
def test_what_the_environment_offers_signs_in_to_the_operators_cloud(
    offered: Offered, clouds: dict[Cloud, Emulator], wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = clouds[CHINA]
    monkeypatch.setenv("AZURE_TENANT_ID", emulator.tenant_id)
    monkeypatch.setenv("AZURE_CLIENT_ID", emulator.client_id)
    for name, value in offered(emulator).items():
        monkeypatch.setenv(name, value)

    assert credential_for(None, CHINA, wire).get_token(CHINA.token_scope).token

    assert wire.sent[0].host == "login.chinacloudapi.cn"
    assert {sent.host for sent in wire.sent} <= hosts_of(CHINA, emulator)


def test_an_authority_in_the_environment_wins_over_the_clouds(
    clouds: dict[Cloud, Emulator], wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", clouds[CHINA].base_url)

    look_at_computes(connect(CHINA, clouds, wire))

    assert "login.chinacloudapi.cn" not in {sent.host for sent in wire.sent}


def connect_to(emulator: Emulator, cloud: Cloud) -> WorkspaceConnection:
    """A connection through a custom endpoint, with the transport that it makes for that itself."""
    principal = principal_of(emulator)
    credential = ClientSecretCredential(
        principal.tenant_id,
        principal.client_id,
        principal.client_secret,
        authority=emulator.base_url,
        disable_instance_discovery=True,
    )
    return WorkspaceConnection(address_in(cloud.at(emulator.base_url)), lambda: credential)


def test_two_custom_endpoints_in_one_process_without_a_word_in_the_environment(clouds: dict[Cloud, Emulator]) -> None:
    before = dict(os.environ)
    connections = [connect_to(clouds[cloud], cloud) for cloud in (AZURE, CHINA)]

    for use in (look_at_computes, read_log):
        for connection in connections:
            use(connection)

    for connection in connections:
        (served,) = clouds[CLOUDS[connection.cloud.name]].context.store.workspaces
        assert len(served.jobs) == 1
    assert dict(os.environ) == before


def test_a_custom_endpoint_in_the_settings_wins_over_the_environments(
    clouds: dict[Cloud, Emulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREML_DEV_URL_MFE", clouds[CHINA].base_url)

    look_at_computes(connect_to(clouds[AZURE], AZURE))

    assert requests_of(clouds[CHINA]) == []


def test_the_endpoint_in_the_environment_is_where_a_workspace_is_by_default(
    clouds: dict[Cloud, Emulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = clouds[AZURE]
    monkeypatch.setenv("AZUREML_DEV_URL_MFE", emulator.base_url)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", emulator.base_url)
    address = WorkspaceAddress(SUBSCRIPTIONS[AZURE], "emulator", "emulator")

    look_at_computes(WorkspaceConnection(address, lambda: credential_for(principal_of(emulator), address.cloud)))

    assert address.cloud == AZURE.at(emulator.base_url)


def test_another_cloud_waits_while_one_is_current_and_the_same_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLOUD_VARIABLE, "before")
    current, seen, entered = CurrentCloud(), list[str](), threading.Event()

    def enter(name: str) -> None:
        with current.set_to(name):
            seen.append(os.environ[CLOUD_VARIABLE])
            entered.set()

    with current.set_to("AzureCloud"):
        same = threading.Thread(target=enter, args=("AzureCloud",))
        same.start()
        assert entered.wait(20)
        other = threading.Thread(target=enter, args=("AzureChinaCloud",))
        other.start()
        same.join()
        assert seen == ["AzureCloud"]
    other.join()

    assert seen == ["AzureCloud", "AzureChinaCloud"]
    assert os.environ[CLOUD_VARIABLE] == "before"


def test_a_service_connector_is_refused_outside_of_the_public_cloud() -> None:
    operator = cast("AzureMLStepOperator", SimpleNamespace(name="gpu", connector=uuid4()))

    with pytest.raises(AzureMLError, match="sign in to the public cloud only") as refusal:
        credential_of(operator, CHINA)

    assert "zenml step-operator disconnect gpu" in str(refusal.value)
    assert "az cloud set --name AzureChinaCloud" in str(refusal.value)
    credential_of(operator, AZURE)


@pytest.mark.parametrize(
    ("cloud", "first"), [(AZURE, "az ml job"), (CHINA, "az cloud set --name AzureChinaCloud; az ml job")]
)
def test_command_to_cancel_names_the_cloud_unless_it_is_the_public_one(cloud: Cloud, first: str) -> None:
    workspace = Workspace(address_in(cloud), lambda: credential_for(None, cloud))

    assert workspace.how_to_cancel("job-1").startswith(f"To cancel it manually: {first} cancel --name job-1")
