"""The proxy: Azure's own addresses lead to the emulator, all others where they always lead."""

from __future__ import annotations

import ast
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import trustme
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.identity import ClientSecretCredential

from tests.conftest import credential_of, ml_client_of, point_clients_at
from tests.contract.test_implicit_sign_in import running
from tests.contract.test_job_data import log_of
from tests.contract.waiting import eventually
from tests.e2e.requests_of import requests_of
from tests.https_server import https_server
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.http.peers import Peers
from zenml_azureml.emulator.local import shell_env
from zenml_azureml.emulator.resources import TERMINAL_STATES
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime
from zenml_azureml.emulator.services.entra.clouds import AZURE_HOSTS


def get(emulator: Emulator, url: str, *, verify: Path | None = None) -> requests.Response:
    """GET through the emulator's proxy."""
    proxies = {"https": str(emulator.proxy_url)}
    return requests.get(url, proxies=proxies, verify=str(verify or emulator.ca_file), timeout=10)


@pytest.mark.parametrize("host", [pattern.replace("*", "anybody") for pattern in AZURE_HOSTS])
def test_each_of_azures_hosts_is_the_emulator(proxied: Emulator, host: str) -> None:
    get(proxied, f"https://{host}/some/path")  # which raises where the certificate is not that host's

    assert "/some/path" in [request["path"] for request in requests_of(proxied)]


@pytest.mark.parametrize(
    "host",
    [
        *("team.azurecr.io", "digits.westeurope.inference.ml.azure.com", "account.dfs.core.windows.net"),
        *("team.azurecr.cn", "digits.westeurope.inference.ml.azure.us", "graph.microsoft.com"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/v2/", "/subscriptions/any", "/score?api-version=1"])
def test_a_service_that_is_not_there_says_so_and_no_request_reaches_azure(
    proxied: Emulator, host: str, path: str
) -> None:
    answer = get(proxied, f"https://{host}{path}")

    assert answer.status_code == 501
    assert answer.json()["error"]["code"] == "NotEmulated"
    assert answer.json()["error"]["message"].startswith(f"The service at {host} is not emulated.")
    assert "docs/emulator.md" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["westeurope.api.azureml.ms", "chinaeast2.api.ml.azure.cn"])
def test_requests_to_mlflow_at_azures_own_host_reach_no_azure(proxied: Emulator, host: str) -> None:
    answer = get(proxied, f"https://{host}/mlflow/v2.0/subscriptions/any/api/2.0/mlflow/runs/get")

    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "NotEmulated")


def test_clients_that_know_nothing_of_it_sign_in_and_submit(proxied: Emulator) -> None:
    credential = ClientSecretCredential(proxied.tenant_id, proxied.client_id, proxied.client_secret)
    workspace = proxied.context.store.workspaces[0]
    names = (workspace.subscription_id, workspace.resource_group, workspace.name)

    assert list(MLClient(credential, *names, cloud="AzureCloud").jobs.list()) == []


#: A script that knows Azure's addresses only, and no variable of the emulator's but those of the proxy.
IN_A_JOB = """
import os, sys

hosts = set()
sys.addaudithook(lambda event, found: hosts.add(found[1][:2]) if event == "socket.connect" else None)
del os.environ["AZUREML_DEV_URL_MFE"]

import requests
from azure.ai.ml import MLClient
from azure.identity import ClientSecretCredential, DefaultAzureCredential

names = [os.environ[f"AZUREML_ARM_{name}"] for name in ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")]
secret = ClientSecretCredential(*(os.environ[f"AZURE_{name}"] for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")))
for credential in (secret, DefaultAzureCredential()):
    print(MLClient(credential, *names).jobs.get(os.environ["AZUREML_RUN_ID"]).status)
for host in ("management.azure.com", "an.blob.core.windows.net", "an.dfs.core.windows.net"):
    print(host, requests.get(f"https://{host}/").status_code)
print(sorted(hosts))
"""


def test_a_job_reaches_the_emulator_at_azures_own_addresses_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    with Emulator(tmp_path / "emulator", runtime=ProcessRuntime(), settings=settings, proxy_port=0, environ={}) as own:
        point_clients_at(own, monkeypatch)
        client = ml_client_of(own, credential_of(own))
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / "list.py").write_text(IN_A_JOB)
        variables = {
            "AZURE_TENANT_ID": own.tenant_id,
            "AZURE_CLIENT_ID": own.client_id,
            "AZURE_CLIENT_SECRET": own.client_secret,
        }
        job = client.jobs.create_or_update(
            command(
                command="python list.py",
                code=str(tmp_path / "code"),
                environment=Environment(name="ours", version="1", image="python:3.12"),
                environment_variables=variables,
            ),
        )
        eventually(lambda: client.jobs.get(job.name).status in TERMINAL_STATES, 120)  # it imports the SDK
        log = log_of(own, job)

    assert log.count("RUNNING\n") == 2, log
    assert "an.blob.core.windows.net 404\nan.dfs.core.windows.net 501\n" in log
    assert ast.literal_eval(log.splitlines()[-1]) == [("127.0.0.1", urlsplit(own.proxy_url).port)], log


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A CA that has nothing to do with the emulator; the key is beside it."""
    theirs = trustme.CA()
    theirs.private_key_pem.write_to_path(tmp_path / "theirs.key")
    theirs.cert_pem.write_to_path(tmp_path / "theirs.pem")
    return tmp_path / "theirs.pem"


@pytest.fixture
def other_host(ca: Path) -> Iterator[str]:
    """The URL of a host that is not Azure's."""
    with https_server(trustme.CA.from_pem(ca.read_bytes(), ca.with_suffix(".key").read_bytes())) as url:
        yield url


def test_another_host_is_itself(proxied: Emulator, other_host: str, ca: Path) -> None:
    assert get(proxied, other_host, verify=ca).text == "the other host"


def test_another_host_is_reached_through_the_shells_own_proxy(
    proxied: Emulator, tmp_path: Path, other_host: str, ca: Path
) -> None:
    behind = {"HTTPS_PROXY": str(proxied.proxy_url)}
    with Emulator(tmp_path / "second", proxy_port=0, environ=behind) as second:
        assert get(second, other_host, verify=ca).text == "the other host"

        proxied.close()

        with pytest.raises(requests.ConnectionError, match="502 Cannot reach"):
            get(second, other_host, verify=ca)


def test_but_not_where_the_shell_says_that_it_is_reached_directly(tmp_path: Path, other_host: str, ca: Path) -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "example.org,127.0.0.1"}
    with Emulator(tmp_path / "second", proxy_port=0, environ=nowhere) as emulator:
        assert get(emulator, other_host, verify=ca).text == "the other host"


def test_what_the_shells_own_proxy_refuses_is_told(tmp_path: Path) -> None:
    with (
        a_proxy_that_answers("HTTP/1.1 407 Proxy Authentication Required") as url,
        Emulator(tmp_path / "emulator", proxy_port=0, environ={"HTTPS_PROXY": url}) as emulator,
        pytest.raises(requests.ConnectionError, match="407 Proxy Authentication Required"),
    ):
        get(emulator, "https://example.org/")


def test_the_password_of_the_shells_own_proxy_is_lent_to_nobody(tmp_path: Path) -> None:
    environ = {"HTTPS_PROXY": "http://me:hush@127.0.0.1:9"}
    with (
        Emulator(tmp_path / "emulator", proxy_port=0, environ=environ) as emulator,
        pytest.raises(requests.ConnectionError, match="must be http:// without a password") as refused,
    ):
        get(emulator, "https://example.org/")

    assert "hush" not in str(refused.value)


def test_a_host_that_is_not_there_is_told(proxied: Emulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(requests.ConnectionError, match=f"502 Cannot reach 127.0.0.1:{port}"):
        get(proxied, f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n", b"405"),
        (b"\x16\x03\x01 what is this\r\n\r\n", b"405"),
        (b"CONNECT " + b"x" * 100_000, b"400"),
    ],
)
def test_it_does_nothing_but_tunnels(proxied: Emulator, sent: bytes, status: bytes) -> None:
    address = urlsplit(proxied.proxy_url)
    with socket.create_connection((str(address.hostname), int(str(address.port)))) as client:
        client.sendall(sent)
        answer = client.recv(1000)

    assert answer.split(b" ")[1] == status


def test_a_user_that_cannot_be_looked_up_needs_the_password(tmp_path: Path, other_host: str, ca: Path) -> None:
    with Emulator(tmp_path / "emulator", proxy_port=0, environ={}, peers=Peers(read=lambda _table: "")) as emulator:
        values = shell_env.variables(running(emulator), emulator.ca_bundle, {})
        for proxy in (emulator.proxy_url, f"http://emulator:wrong@{urlsplit(str(emulator.proxy_url)).netloc}"):
            with pytest.raises(requests.ConnectionError, match="407"):
                requests.get(other_host, proxies={"https": str(proxy)}, verify=str(ca), timeout=10)

        answer = requests.get(other_host, proxies={"https": values["HTTPS_PROXY"]}, verify=str(ca), timeout=10)

    assert answer.text == "the other host"


def test_it_ends_with_the_emulator_its_tunnels_too(tmp_path: Path, other_host: str) -> None:
    host = urlsplit(other_host).netloc
    with Emulator(tmp_path / "emulator", proxy_port=0, environ={}) as emulator:
        address = urlsplit(emulator.proxy_url)
        proxy = str(address.hostname), int(str(address.port))
        tunnel = socket.create_connection(proxy)
        tunnel.sendall(f"CONNECT {host} HTTP/1.1\r\n\r\n".encode())
        assert b"200" in tunnel.recv(1000)

    with tunnel:
        assert tunnel.recv(1000) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(proxy)


def test_without_being_asked_for_there_is_none(emulator: Emulator) -> None:
    assert emulator.proxy_url is None
    assert b"microsoftonline" not in served_certificate(emulator)


def served_certificate(emulator: Emulator) -> bytes:
    address = urlsplit(emulator.base_url)
    pem = ssl.get_server_certificate((str(address.hostname), int(str(address.port))))
    return ssl.PEM_cert_to_DER_cert(pem)


@contextmanager
def a_proxy_that_answers(status_line: str) -> Iterator[str]:
    """Somebody's proxy, which gives one answer once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(1000)
                client.sendall(f"{status_line}\r\n\r\n".encode())

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
