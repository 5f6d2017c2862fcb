"""An emulator that others reach at an address of its own, as in a container."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from azure.ai.ml import MLClient, Output
from azure.ai.ml import command as command_job
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

from tests.contract.arm import Arm
from tests.contract.test_access import send
from tests.contract.waiting import eventually
from tests.vault_access import grant, own_vault
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.local import instance, serving, shell_env
from zenml_azureml.emulator.local.instance import Options, Running

#: An address of the loopback that nothing but the certificate and the answers of this emulator names.
HOST = "127.0.0.2"


@pytest.fixture(scope="module")
def advertised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    port = free_ports()
    folder = tmp_path_factory.mktemp("advertised")
    with Emulator(folder, port=port, listen="0.0.0.0", advertise=f"https://{HOST}:{port}") as emulator:
        yield emulator


@pytest.fixture
def elsewhere(advertised: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MLClient:
    """The real SDK with the variables that `emulator env --elsewhere` prints, and copies of two files."""
    for file in (advertised.ca_bundle, advertised.federated_token_file):
        shutil.copy(file, tmp_path)
    for name, value in shell_env.variables_elsewhere(
        running(advertised), PurePosixPath(tmp_path), "workload-identity"
    ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureCloud")  # MLClient sets it for good
    workspace = advertised.context.store.workspaces[0]
    place = (workspace.subscription_id, workspace.resource_group, workspace.name)
    return MLClient(DefaultAzureCredential(), *place, cloud="AzureCloud", enable_telemetry=False)


def running(emulator: Emulator) -> Running:
    """An emulator of this process, as one in a process of its own describes itself."""
    return Running(
        state=emulator.context.folder,
        pid=1,
        base_url=emulator.base_url,
        proxy_url=None,
        started_at="",
        ca_file=emulator.ca_file,
        ca_bundle=emulator.ca_bundle,
        tenant_id=emulator.tenant_id,
        client_id=emulator.client_id,
        federated_token_file=emulator.federated_token_file,
        options=Options(),
        local_url=emulator.local_url,
    )


def free_ports() -> int:
    """A port that is free, as the one is that its key vault will have."""
    while True:
        with socket.socket() as first, socket.socket() as vault:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                vault.bind(("127.0.0.1", port + 2))
            except (OSError, OverflowError):
                continue
            return port


def test_a_job_runs_and_its_output_is_read_from_elsewhere(
    elsewhere: MLClient, advertised: Emulator, tmp_path: Path
) -> None:
    variables = ("AZUREML_SERVICE_ENDPOINT", "MLFLOW_TRACKING_URI")
    job = command_job(
        command=" ".join(["echo", *(f"${name}" for name in variables), "> ${{outputs.result}}/said.txt"]),
        outputs={"result": Output(type="uri_folder")},
        environment=Environment(image="python:3.12"),
        name="from-elsewhere",
    )
    elsewhere.jobs.create_or_update(job)
    eventually(lambda: elsewhere.jobs.get("from-elsewhere").status == "Completed")
    elsewhere.jobs.download("from-elsewhere", download_path=tmp_path, output_name="result")

    said = (tmp_path / "named-outputs" / "result" / "said.txt").read_text()
    assert said.count(f"{HOST}:{advertised.base_url.rpartition(':')[2]}") == len(variables)


def test_every_address_in_an_answer_is_the_advertised_one(advertised: Emulator) -> None:
    arm = Arm(advertised)
    workspace = arm.call("GET", arm.workspace)
    store = arm.call("GET", f"{arm.workspace}/datastores/workspaceartifactstore")
    vault = arm.call("GET", workspace.body["properties"]["keyVault"], api_version="2023-07-01")
    discovery = arm.call("GET", f"{advertised.local_url}/discovery", api_version=None)

    answers = [answer.text for answer in (workspace, store, vault, discovery)]
    assert all(HOST in text for text in answers)
    assert not any("127.0.0.1" in text for text in answers)


def test_the_key_vault_has_the_port_after_the_next_one(advertised: Emulator, elsewhere: MLClient) -> None:
    port = int(advertised.base_url.rpartition(":")[2])
    vault = own_vault(advertised)
    grant(advertised, "Key Vault Secrets Officer")
    secrets = SecretClient(vault.address, DefaultAzureCredential(), verify_challenge_resource=False, retry_total=0)

    secrets.set_secret("from-elsewhere", "hush")

    assert vault.address == f"https://{HOST}:{port + 2}"
    assert secrets.get_secret("from-elsewhere").value == "hush"


@pytest.mark.parametrize("path", ["/_emulator/status", "{workspace}?api-version=2024-04-01"])
def test_the_credential_is_needed_at_the_advertised_address_too(advertised: Emulator, path: str) -> None:
    status, _, headers = send(advertised, "GET", path.format(workspace=Arm(advertised).workspace))

    assert status == 401
    assert "www-authenticate" in headers


@pytest.mark.parametrize("host", ["emulator.attacker.example", "127.0.0.3:{port}", f"{HOST}:1"])
def test_no_other_host_is_answered(advertised: Emulator, host: str) -> None:
    port = advertised.base_url.rpartition(":")[2]

    status, text, _ = send(advertised, "GET", "/discovery", {"Host": host.format(port=port)})

    assert status == 403
    assert "does not answer for the host" in text


def test_the_variables_for_another_machine_have_no_path_of_this_one(advertised: Emulator) -> None:
    values = shell_env.variables_elsewhere(running(advertised), PurePosixPath("/elsewhere"), "workload-identity")

    assert values["REQUESTS_CA_BUNDLE"] == "/elsewhere/ca-bundle.pem"
    assert values["AZURE_FEDERATED_TOKEN_FILE"] == "/elsewhere/federated-token"
    assert str(advertised.context.folder) not in "".join(values.values())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"listen": "0.0.0.0"}, "--listen 0.0.0.0 needs --advertise"),
        ({"listen": "emulator", "advertise": "https://emulator"}, "--listen: 'emulator' is no IP address"),
        ({"advertise": "http://emulator"}, "--advertise: 'http://emulator' has to be https://HOST"),
        ({"advertise": "https://emulator", "proxy": True}, "--proxy serves this machine alone"),
    ],
)
def test_addresses_that_clients_could_not_use_are_refused(options: dict[str, str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(instance.DaemonError, match=reason):
        serving.serve(tmp_path / "state", Options(**options))  # type: ignore[arg-type]
